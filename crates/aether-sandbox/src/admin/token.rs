//! The secret that opens the API.

use std::fmt;
use std::io;

use crate::id::sha256_hex;
use crate::random;

/// A random token of 64 hexadecimal characters, made anew at each start.
#[derive(Clone)]
pub(crate) struct AdminToken(Box<str>);

impl AdminToken {
    pub(crate) fn random() -> io::Result<Self> {
        Ok(Self(random::hex_text::<32>()?.into()))
    }

    /// The token itself, for `control.json` alone.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether the value of an `Authorization` header proves the token.
    ///
    /// Hashes are compared, so that how long it takes tells nothing of the token.
    pub(crate) fn is_proved_by(&self, authorization: &[u8]) -> bool {
        let Some((scheme, token)) = authorization.split_at_checked("Bearer ".len()) else { return false };
        scheme.eq_ignore_ascii_case(b"Bearer ") && sha256_hex(token) == sha256_hex(self.0.as_bytes())
    }
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminToken(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_itself_as_a_bearer_proves_it() {
        let token = AdminToken::random().unwrap();
        let own = token.reveal().to_owned();
        assert_eq!(own.len(), 64);
        assert!(token.is_proved_by(format!("Bearer {own}").as_bytes()));
        assert!(token.is_proved_by(format!("bearer {own}").as_bytes()));
        let other = AdminToken::random().unwrap().reveal().to_owned();
        for wrong in
            ["", "Bearer ", &own, &format!("Basic {own}"), &format!("Bearer {own}0"), &format!("Bearer {other}")]
        {
            assert!(!token.is_proved_by(wrong.as_bytes()), "{wrong}");
        }
    }

    #[test]
    fn the_token_is_not_in_its_debug_form() {
        let token = AdminToken::random().unwrap();
        assert!(!format!("{token:?}").contains(token.reveal()));
    }
}
