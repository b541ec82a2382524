//! Long lists, a page at a time.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::call::Call;
use super::error::ApiError;
use crate::account::Millis;

/// Entries of a page when the request does not say.
const DEFAULT_SIZE: usize = 25;
/// Most entries of a page.
const MAX_SIZE: usize = 250;

/// The names a list gives to its page size, to the place it goes on from, and to that in its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// `pageSize`, `marker`, `nextMarker`.
    Marker,
    /// `maxResults`, `nextToken`, `nextToken`.
    Token,
}

/// Entries with the key they are ordered by, which is different for each.
pub(super) type Entries = Vec<(String, Value)>;

/// Orders by time, and by name where times are the same.
pub(super) fn by_time(created: Millis, name: impl std::fmt::Display) -> String {
    format!("{:020} {name}", created.as_u64())
}

impl Style {
    fn names(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Marker => ("pageSize", "marker", "nextMarker"),
            Self::Token => ("maxResults", "nextToken", "nextToken"),
        }
    }
}

/// The page a request asks for, in the order of the keys.
pub(super) fn page(call: &Call<'_>, style: Style, member: &str, entries: Entries) -> Result<Value, ApiError> {
    cut(call, style, member, entries, true)
}

/// The page a request asks for, by `isAscendingOrder`: highest keys first unless that is true.
pub(super) fn ordered_page(call: &Call<'_>, member: &str, entries: Entries) -> Result<Value, ApiError> {
    cut(call, Style::Marker, member, entries, call.flag("isAscendingOrder")?)
}

fn cut(call: &Call<'_>, style: Style, member: &str, mut entries: Entries, ascending: bool) -> Result<Value, ApiError> {
    let (size, from, next) = style.names();
    let wanted = call.parameter::<usize>(size)?.unwrap_or(DEFAULT_SIZE);
    if !(1..=MAX_SIZE).contains(&wanted) {
        return Err(ApiError::invalid(format_args!("{size} is {wanted}, expected 1 to {MAX_SIZE}")));
    }
    let last = call.query(from).filter(|text| !text.is_empty()).map(|text| {
        let key = URL_SAFE_NO_PAD.decode(text).ok().and_then(|key| String::from_utf8(key).ok());
        key.ok_or_else(|| ApiError::invalid(format_args!("{from} is none this service gave")))
    });
    let last = last.transpose()?;
    entries.sort_by(|(one, _), (other, _)| if ascending { one.cmp(other) } else { other.cmp(one) });
    let behind = |key: &String| match &last {
        None => true,
        Some(last) => *key != *last && (*key > *last) == ascending,
    };
    let mut rest = entries.into_iter().filter(|(key, _)| behind(key)).peekable();
    let shown: Vec<_> = rest.by_ref().take(wanted).collect();
    let mut answer = Map::new();
    if let (Some(_), Some((key, _))) = (rest.peek(), shown.last()) {
        answer.insert(next.to_owned(), json!(URL_SAFE_NO_PAD.encode(key)));
    }
    let shown = shown.into_iter().map(|(_, value)| value).collect();
    answer.insert(member.to_owned(), Value::Array(shown));
    Ok(Value::Object(answer))
}
