//! What expressions come to, for one set of values.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeMap;

use crate::expression::{List, Lookup, Mapped, Mappings, Piece, Text};
use crate::limits::quoted;
use crate::resolve::ResolveError;

/// How much text one resolution may produce on its way, in bytes.
///
/// Functions can be nested so that a short template grows without end: a join with a long delimiter,
/// split at each of its letters, joined again. AWS states no limit; 1 MiB is eight MQTT payloads.
const BUDGET: usize = 1 << 20;
/// What an item of a list counts beside its text.
const ITEM: usize = 32;

/// The values one template is filled in with.
pub(crate) struct Scope<'a> {
    values: BTreeMap<&'a str, &'a str>,
    mappings: &'a Mappings,
    left: Cell<usize>,
}

type Items = Vec<Option<String>>;

impl<'a> Scope<'a> {
    pub(crate) fn new(values: BTreeMap<&'a str, &'a str>, mappings: &'a Mappings) -> Self {
        Self { values, mappings, left: Cell::new(BUDGET) }
    }

    /// The text `text` comes to; errors name `place`.
    pub(crate) fn text(&self, place: &str, text: &Text) -> Result<String, ResolveError> {
        match text {
            Text::Literal(literal) => self.keep(place, literal),
            Text::Ref(name) => self.keep(place, self.value(name)?),
            Text::Join { delimiter, items } => self.join(place, delimiter, items),
            Text::Select { index, items } => self.select(place, index, items),
            Text::Find(lookup) => match self.find(place, lookup)? {
                Mapped::Text(text) => self.keep(place, text),
                Mapped::List(_) => Err(wrong(place, "Fn::FindInMap", "a list".to_owned(), "a text")),
            },
            Text::Sub { pieces, variables } => self.substitute(place, pieces, variables),
        }
    }

    /// The texts `list` comes to.
    pub(crate) fn texts(&self, place: &str, list: &List) -> Result<Vec<String>, ResolveError> {
        let items = self.items(place, list)?;
        items
            .into_iter()
            .map(|item| item.ok_or_else(|| wrong(place, "an item of the list", "null".to_owned(), "a text")))
            .collect()
    }

    fn items(&self, place: &str, list: &List) -> Result<Items, ResolveError> {
        match list {
            List::Items(items) => items
                .iter()
                .map(|item| {
                    self.spend(place, ITEM)?;
                    item.as_ref().map(|text| self.text(place, text)).transpose()
                })
                .collect(),
            List::Split { delimiter, source } => {
                let source = self.text(place, source)?;
                self.spend(place, source.len() + ITEM * (1 + source.matches(delimiter.as_str()).count()))?;
                Ok(source.split(delimiter.as_str()).map(|part| Some(part.to_owned())).collect())
            }
            List::Find(lookup) => match self.find(place, lookup)? {
                Mapped::List(items) => items.iter().map(|item| self.keep(place, item).map(Some)).collect(),
                Mapped::Text(text) => Err(wrong(place, "Fn::FindInMap", quoted(text), "a list")),
            },
        }
    }

    fn join(&self, place: &str, delimiter: &str, items: &List) -> Result<String, ResolveError> {
        let items = self.texts(place, items)?;
        let delimiters = delimiter.len().saturating_mul(items.len().saturating_sub(1));
        self.spend(place, delimiters.saturating_add(items.iter().map(String::len).sum()))?;
        Ok(items.join(delimiter))
    }

    fn select(&self, place: &str, index: &Text, items: &List) -> Result<String, ResolveError> {
        let index = self.text(place, index)?;
        let items = self.items(place, items)?;
        let count = items.len();
        let chosen = index.parse::<usize>().ok().and_then(|index| items.into_iter().nth(index));
        match chosen {
            Some(Some(text)) => Ok(text),
            Some(None) => Err(wrong(place, "the item chosen by Fn::Select", "null".to_owned(), "a text")),
            None => Err(ResolveError::Index { place: place.to_owned(), index: quoted(&index), count }),
        }
    }

    fn find(&self, place: &str, lookup: &Lookup) -> Result<&Mapped, ResolveError> {
        let Lookup { map, top, second } = lookup;
        let keys = [self.text(place, map)?, self.text(place, top)?, self.text(place, second)?];
        let [map, top, second] = &keys;
        self.mappings.get(map).and_then(|map| map.get(top)).and_then(|top| top.get(second)).ok_or_else(|| {
            ResolveError::Mapping { place: place.to_owned(), keys: keys.map(|key| quoted(&key)).join(", ") }
        })
    }

    fn substitute(
        &self,
        place: &str,
        pieces: &[Piece],
        variables: &BTreeMap<String, Text>,
    ) -> Result<String, ResolveError> {
        let locals = variables
            .iter()
            .map(|(name, text)| Ok((name.as_str(), self.text(place, text)?)))
            .collect::<Result<BTreeMap<_, _>, ResolveError>>()?;
        let mut whole = String::new();
        for piece in pieces {
            let part = match piece {
                Piece::Literal(text) => Cow::Borrowed(text.as_str()),
                Piece::Variable(name) => match locals.get(name.as_str()) {
                    Some(local) => Cow::Borrowed(local.as_str()),
                    None => Cow::Borrowed(self.value(name)?),
                },
            };
            self.spend(place, part.len())?;
            whole.push_str(&part);
        }
        Ok(whole)
    }

    fn value(&self, name: &str) -> Result<&'a str, ResolveError> {
        self.values.get(name).copied().ok_or_else(|| ResolveError::MissingParameter { name: name.to_owned() })
    }

    fn keep(&self, place: &str, text: &str) -> Result<String, ResolveError> {
        self.spend(place, text.len())?;
        Ok(text.to_owned())
    }

    fn spend(&self, place: &str, bytes: usize) -> Result<(), ResolveError> {
        match self.left.get().checked_sub(bytes) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => Err(ResolveError::TooLarge { place: place.to_owned() }),
        }
    }
}

fn wrong(place: &str, what: &str, found: String, expected: &'static str) -> ResolveError {
    ResolveError::Value { place: format!("{place}: {what}"), found, expected }
}
