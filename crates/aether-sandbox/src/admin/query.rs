//! What listings and streams may be asked for in the address.

use serde::Deserialize;

use super::error::ApiError;

/// Most rows of one answer.
const MAX_ROWS: usize = 10_000;

/// `?limit=…&find=…`: how many rows, and what has to stand in them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    #[serde(default = "max_rows")]
    limit: usize,
    #[serde(default)]
    find: String,
}

const fn max_rows() -> usize {
    MAX_ROWS
}

impl ListQuery {
    pub(super) fn read(raw: Option<&str>) -> Result<Self, ApiError> {
        read(raw)
    }

    /// Counts the rows that fit, and gives the first of them.
    pub(super) fn pick<R, T>(
        &self,
        rows: impl Iterator<Item = R>,
        texts: impl Fn(&R, &mut dyn FnMut(&str) -> bool) -> bool,
        show: impl Fn(R) -> T,
    ) -> (usize, Vec<T>) {
        let (mut total, mut picked) = (0, Vec::new());
        let find = self.find.to_ascii_lowercase();
        for row in rows {
            if !find.is_empty() && !texts(&row, &mut |text| text.to_ascii_lowercase().contains(&find)) {
                continue;
            }
            total += 1;
            if picked.len() < self.limit.min(MAX_ROWS) {
                picked.push(show(row));
            }
        }
        (total, picked)
    }
}

/// No query at all.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// Checks that nothing was asked for in the address.
pub(super) fn nothing(raw: Option<&str>) -> Result<(), ApiError> {
    read::<Nothing>(raw).map(drop)
}

/// Reads a query strictly.
pub(super) fn read<T: for<'de> Deserialize<'de>>(raw: Option<&str>) -> Result<T, ApiError> {
    serde_urlencoded::from_str(raw.unwrap_or_default()).map_err(|cause| ApiError::invalid(format!("query: {cause}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pick(raw: &str) -> (usize, Vec<&'static str>) {
        let rows = ["press-1", "press-2", "Oven"].into_iter();
        ListQuery::read(Some(raw)).unwrap().pick(rows, |row, fits| fits(row), |row| row)
    }

    #[test]
    fn rows_are_found_whatever_their_case_counted_and_cut_at_the_limit() {
        assert_eq!(pick(""), (3, vec!["press-1", "press-2", "Oven"]));
        assert_eq!(pick("find=oVen"), (1, vec!["Oven"]));
        assert_eq!(pick("find=press&limit=1"), (2, vec!["press-1"]));
        assert_eq!(pick("find=none"), (0, vec![]));
    }

    #[test]
    fn an_unknown_or_misspelt_query_is_refused() {
        for raw in ["limt=1", "limit=x", "limit=-1"] {
            assert!(ListQuery::read(Some(raw)).is_err(), "{raw}");
        }
    }
}
