//! Percent-encoding of paths and queries (RFC 3986, section 2.1).

use super::error::ApiError;

/// Decodes one segment or one query value; in a query `+` is a space.
pub(super) fn decode(text: &str, in_query: bool) -> Result<String, ApiError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
                match (digit(rest.next()), digit(rest.next())) {
                    (Some(high), Some(low)) => u8::try_from(high * 16 + low).unwrap_or_default(),
                    (_, _) => {
                        return Err(ApiError::invalid("% in the address, expected two hexadecimal digits after it"));
                    }
                }
            }
            b'+' if in_query => b' ',
            byte => byte,
        });
    }
    String::from_utf8(bytes).map_err(|_| ApiError::invalid("the address is not UTF-8 once decoded"))
}

/// The names and values of a query, in their order.
pub(super) fn query(text: &str) -> Result<Vec<(String, String)>, ApiError> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name, true)?, decode(value, true)?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_queries_are_decoded_as_written() {
        assert_eq!(decode("a%2Fb+c", false).unwrap(), "a/b+c");
        assert_eq!(decode("a%2fb+c%C3%A9", true).unwrap(), "a/b cé");
        for broken in ["%", "%1", "%zz", "%ff"] {
            assert!(decode(broken, false).is_err(), "{broken}");
        }
        let pairs = query("a=1&b&&c=x%3Dy").unwrap();
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [("a", "1"), ("b", ""), ("c", "x=y")]);
    }
}
