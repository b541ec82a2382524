//! What a value in a template is written as.

use std::collections::BTreeMap;

/// A value that comes to one text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Text {
    Literal(String),
    Ref(String),
    Join { delimiter: String, items: List },
    Select { index: Box<Self>, items: List },
    Find(Box<Lookup>),
    Sub { pieces: Vec<Piece>, variables: BTreeMap<String, Self> },
}

/// A value that comes to a list of texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum List {
    /// The items as written. `None` is a `null`, which only `Fn::Select` may meet.
    Items(Vec<Option<Text>>),
    Split {
        delimiter: String,
        source: Box<Text>,
    },
    Find(Box<Lookup>),
}

/// A value of `Mappings`, looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lookup {
    pub(crate) map: Text,
    pub(crate) top: Text,
    pub(crate) second: Text,
}

/// A part of the text of `Fn::Sub`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Literal(String),
    Variable(String),
}

/// What stands at the second level of a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mapped {
    Text(String),
    List(Vec<String>),
}

/// `Mappings`: map, top key, second key.
pub(crate) type Mappings = BTreeMap<String, BTreeMap<String, BTreeMap<String, Mapped>>>;

/// A policy document with functions in it, as a tree of JSON.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    /// A number, a truth value or `null`.
    Leaf(serde_json::Value),
    Text(Text),
    /// A function that gives a list.
    List(List),
    Array(Vec<Self>),
    Object(BTreeMap<String, Self>),
}
