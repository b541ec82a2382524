//! A Sigil with its Rust type: what a program works with.

use std::{cmp::Ordering, marker::PhantomData};

use crate::{
    any::{AnySigil, ReadError},
    definition::{BuildError, Definition, WriteError},
    event::Origin,
    node_id::NodeId,
    value::{SigilType, Value},
};

/// One variable of the plant. Clones share the same variable.
#[derive(Debug)]
pub struct Sigil<T> {
    any: AnySigil,
    value: PhantomData<fn(T) -> T>,
}

impl<T> Clone for Sigil<T> {
    fn clone(&self) -> Self {
        Self { any: self.any.clone(), value: PhantomData }
    }
}

impl<T: SigilType> Sigil<T> {
    /// Starts a Sigil at `node_id` (text such as `ns=2;s=Plant.Temperature`) that holds `initial_value`.
    pub fn builder(node_id: &str, initial_value: T) -> SigilBuilder<T> {
        SigilBuilder { dynamic: DynamicBuilder::new(node_id, initial_value.into_value()), value: PhantomData }
    }

    /// Reads the value and reports one `read` event.
    ///
    /// # Errors
    ///
    /// The status of the value is Bad; the event is reported all the same.
    ///
    /// # Cancel safety
    ///
    /// Dropped before its first poll, nothing was read; after that it has completed.
    pub async fn read(&self) -> Result<T, ReadError> {
        let sample = self.any.read_from(&Origin::CODE);
        let bad = || ReadError::Bad { sigil: self.any.id().clone(), status: sample.status };
        if sample.status.is_bad() {
            return Err(bad());
        }
        // The write gate admits values of the Sigil's own type alone.
        T::from_value(&sample.value).ok_or_else(bad)
    }

    /// Writes the value through the write gate and reports one `write` event.
    ///
    /// # Errors
    ///
    /// A rule of the write gate refused the value; the Sigil keeps what it had.
    ///
    /// # Cancel safety
    ///
    /// Dropped before its first poll, nothing was written; after that it has completed.
    pub async fn write(&self, value: T) -> Result<(), WriteError> {
        self.any.write_from(value.into_value(), None, &Origin::CODE)
    }

    /// Returns the same variable without its Rust type.
    pub fn any(&self) -> &AnySigil {
        &self.any
    }
}

impl<T> From<Sigil<T>> for AnySigil {
    fn from(sigil: Sigil<T>) -> Self {
        sigil.any
    }
}

impl<T> From<&Sigil<T>> for AnySigil {
    fn from(sigil: &Sigil<T>) -> Self {
        sigil.any.clone()
    }
}

/// Describes a [`Sigil`] before it is made.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct SigilBuilder<T> {
    dynamic: DynamicBuilder,
    value: PhantomData<fn(T) -> T>,
}

impl<T: SigilType> SigilBuilder<T> {
    /// Text for people, shown by OPC UA clients. Default: none.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.dynamic = self.dynamic.description(description);
        self
    }

    /// Whether those outside the program may write. Default: `true`.
    pub fn writable(mut self, writable: bool) -> Self {
        self.dynamic = self.dynamic.writable(writable);
        self
    }

    /// The smallest value that a write may bring. Default: none.
    pub fn minimum_value(mut self, minimum: T) -> Self {
        self.dynamic = self.dynamic.minimum_value(minimum.into_value());
        self
    }

    /// The largest value that a write may bring. Default: none.
    pub fn maximum_value(mut self, maximum: T) -> Self {
        self.dynamic = self.dynamic.maximum_value(maximum.into_value());
        self
    }

    /// Makes the Sigil.
    ///
    /// # Errors
    ///
    /// The NodeId is not one, a bound does not fit the type, or the initial value is outside the bounds.
    pub fn build(self) -> Result<Sigil<T>, BuildError> {
        Ok(Sigil { any: self.dynamic.build()?, value: PhantomData })
    }
}

/// Describes an [`AnySigil`] before it is made: for configuration files.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct DynamicBuilder {
    node_id: String,
    initial: Value,
    description: Option<String>,
    writable: bool,
    minimum: Option<Value>,
    maximum: Option<Value>,
}

impl AnySigil {
    /// Starts a Sigil whose type is that of `initial_value`, known at run time only.
    pub fn builder(node_id: &str, initial_value: Value) -> DynamicBuilder {
        DynamicBuilder::new(node_id, initial_value)
    }
}

impl DynamicBuilder {
    fn new(node_id: &str, initial: Value) -> Self {
        let node_id = node_id.to_owned();
        Self { node_id, initial, description: None, writable: true, minimum: None, maximum: None }
    }

    /// Text for people, shown by OPC UA clients. Default: none.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// Whether those outside the program may write. Default: `true`.
    pub fn writable(mut self, writable: bool) -> Self {
        self.writable = writable;
        self
    }

    /// The smallest value that a write may bring. Default: none.
    pub fn minimum_value(mut self, minimum: Value) -> Self {
        self.minimum = Some(minimum);
        self
    }

    /// The largest value that a write may bring. Default: none.
    pub fn maximum_value(mut self, maximum: Value) -> Self {
        self.maximum = Some(maximum);
        self
    }

    /// Makes the Sigil.
    ///
    /// # Errors
    ///
    /// The NodeId is not one, a bound does not fit the type, or the initial value is outside the bounds.
    pub fn build(self) -> Result<AnySigil, BuildError> {
        let mut definition = Definition::new(self.node_id.parse::<NodeId>()?, self.initial.value_type());
        definition.description = self.description.map(Into::into);
        definition.writable = self.writable;
        definition.minimum = self.minimum;
        definition.maximum = self.maximum;
        check_bound(&definition, "minimum_value", definition.minimum.as_ref())?;
        check_bound(&definition, "maximum_value", definition.maximum.as_ref())?;
        if let (Some(minimum), Some(maximum)) = (&definition.minimum, &definition.maximum)
            && minimum.partial_cmp_same_type(maximum).is_none_or(Ordering::is_gt)
        {
            let (minimum, maximum) = (minimum.clone(), maximum.clone());
            return Err(BuildError::Bounds { sigil: definition.id, minimum, maximum });
        }
        definition.within_bounds(&self.initial).map_err(BuildError::InitialValue)?;
        Ok(AnySigil::new(definition, self.initial))
    }
}

fn check_bound(definition: &Definition, setting: &'static str, bound: Option<&Value>) -> Result<(), BuildError> {
    let expected = definition.value_type;
    match bound.map(Value::value_type) {
        Some(found) if found != expected || !expected.is_ordered() => {
            Err(BuildError::BoundType { sigil: definition.id.clone(), setting, found, expected })
        }
        _ => match bound {
            // NaN is neither below nor above anything.
            Some(bound) if bound.partial_cmp_same_type(bound).is_none() => {
                Err(BuildError::BoundNaN { sigil: definition.id.clone(), setting })
            }
            _ => Ok(()),
        },
    }
}
