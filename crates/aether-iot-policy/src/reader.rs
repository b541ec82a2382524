//! Reading the members of a JSON object by name, with errors that name the place.

use crate::document::Element;
use crate::error::{Kind, Shown};
use crate::json::Json;

/// A text of the document and where it stands.
pub(crate) struct Placed<'a> {
    place: String,
    pub(crate) text: &'a str,
}

impl Placed<'_> {
    pub(crate) fn shape(&self, expected: &'static str) -> Kind {
        Kind::Shape { place: self.place.clone(), found: Shown::quoted(self.text), expected }
    }
}

/// The members of an object and where it stands.
pub(crate) struct Members<'a> {
    pub(crate) members: &'a [(String, Json)],
    pub(crate) place: String,
    is_root: bool,
}

impl<'a> Members<'a> {
    pub(crate) fn of(json: &'a Json, place: &str) -> Result<Self, Kind> {
        match json {
            Json::Object(members) => Ok(Self { members, place: place.to_owned(), is_root: place == "policy document" }),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::Text(_) | Json::List(_) => {
                Err(Kind::Shape { place: place.to_owned(), found: Shown::new(json), expected: "an object" })
            }
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&'a Json> {
        self.members.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    pub(crate) fn path(&self, name: &str) -> String {
        let name = Shown::new(name);
        if self.is_root { name.to_string() } else { format!("{}.{name}", self.place) }
    }

    pub(crate) fn shape(&self, name: &str, expected: &'static str) -> Kind {
        let found = self.get(name).map_or_else(|| Shown::new("missing"), Shown::new);
        Kind::Shape { place: self.path(name), found, expected }
    }

    pub(crate) fn refuse_others(&self, known: &[&str], expected: &'static str) -> Result<(), Kind> {
        match self.members.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            Some((name, _)) => Err(Kind::Unknown { place: self.path(name), expected }),
            None => Ok(()),
        }
    }

    pub(crate) fn optional_text(&self, name: &str) -> Result<Option<&'a str>, Kind> {
        match self.get(name) {
            None => Ok(None),
            Some(Json::Text(text)) => Ok(Some(text)),
            Some(_) => Err(self.shape(name, "a text")),
        }
    }

    /// The texts of exactly one of two members.
    pub(crate) fn either(&self, plain: &'static str, negated: &'static str) -> Result<Element<Vec<Placed<'a>>>, Kind> {
        match (self.get(plain), self.get(negated)) {
            (Some(_), Some(_)) => {
                let expected = "only one of a member and its opposite with Not";
                Err(Kind::Shape { place: self.path(negated), found: Shown::new("a second choice"), expected })
            }
            (None, Some(json)) => Ok(Element { name: negated, negated: true, value: self.texts(negated, json)? }),
            (Some(json), None) => Ok(Element { name: plain, negated: false, value: self.texts(plain, json)? }),
            (None, None) => Err(self.shape(plain, "a text or a list of texts")),
        }
    }

    fn texts(&self, name: &str, json: &'a Json) -> Result<Vec<Placed<'a>>, Kind> {
        const EXPECTED: &str = "a text or a list of texts";
        let place = self.path(name);
        match json {
            Json::Text(text) => Ok(vec![Placed { place, text }]),
            Json::List(list) if !list.is_empty() => list
                .iter()
                .enumerate()
                .map(|(index, item)| match item {
                    Json::Text(text) => Ok(Placed { place: format!("{place}[{index}]"), text }),
                    Json::Null | Json::Bool(_) | Json::Number(_) | Json::List(_) | Json::Object(_) => {
                        Err(Kind::Shape {
                            place: format!("{place}[{index}]"),
                            found: Shown::new(item),
                            expected: "a text",
                        })
                    }
                })
                .collect(),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::List(_) | Json::Object(_) => {
                Err(Kind::Shape { place, found: Shown::new(json), expected: EXPECTED })
            }
        }
    }
}
