//! Who may connect and how: the choices that decide how open a server is.

use std::{fmt, str::FromStr};

/// A text that is none of a setting's values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not a value of `{setting}`: expected {expected}")]
pub struct UnknownChoice {
    setting: &'static str,
    found: String,
    expected: &'static str,
}

/// Gives a setting its texts once, for reading and for printing.
macro_rules! choices {
    ($setting:literal, $type:ident, $expected:literal, $($variant:ident = $text:literal),*) => {
        impl $type {
            /// Returns the text by which configuration names the choice.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }

        impl FromStr for $type {
            type Err = UnknownChoice;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($text => Ok(Self::$variant),)*
                    _ => Err(UnknownChoice { setting: $setting, found: text.to_owned(), expected: $expected }),
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

/// Which endpoints are offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Security {
    /// Policy None only: nothing is signed or encrypted. Default on a loopback address.
    None,
    /// Basic256Sha256, Aes128-Sha256-RsaOaep and Aes256-Sha256-RsaPss, each with Sign and with
    /// SignAndEncrypt. Default on every other address.
    Secured,
    /// Both of them.
    Both,
}

choices!("security", Security, "`none`, `secured` or `both`", None = "none", Secured = "secured", Both = "both");

impl Security {
    /// Whether policy None is offered.
    pub(crate) const fn offers_none(self) -> bool {
        matches!(self, Self::None | Self::Both)
    }

    /// Whether secured policies are offered.
    pub(crate) const fn offers_secured(self) -> bool {
        matches!(self, Self::Secured | Self::Both)
    }
}

/// What a client may do that does not say who its user is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Anonymous {
    /// Nothing: it cannot open a session. No other kind of user is offered yet, so nobody can.
    Off,
    /// Browse, read and subscribe. Default on every address but loopback.
    Read,
    /// Write as well. Default on a loopback address.
    ReadWrite,
}

choices!("anonymous", Anonymous, "`off`, `read` or `read_write`", Off = "off", Read = "read", ReadWrite = "read_write");

/// Which client applications may open a secured channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClientCertificates {
    /// Every application whose certificate is within its dates and has a key long enough. The
    /// certificate buys an encrypted channel, nothing more: what a user may do is another setting.
    #[default]
    Any,
    /// Only applications whose certificate lies in `trusted/` below the PKI directory.
    Trusted,
}

choices!("client_certificates", ClientCertificates, "`any` or `trusted`", Any = "any", Trusted = "trusted");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_choice_is_read_as_it_is_printed() {
        for choice in [Security::None, Security::Secured, Security::Both] {
            assert_eq!(choice.as_str().parse(), Ok(choice));
        }
        for choice in [Anonymous::Off, Anonymous::Read, Anonymous::ReadWrite] {
            assert_eq!(choice.as_str().parse(), Ok(choice));
        }
        for choice in [ClientCertificates::Any, ClientCertificates::Trusted] {
            assert_eq!(choice.as_str().parse(), Ok(choice));
        }
    }

    #[test]
    fn another_text_is_refused_with_what_is_expected() {
        let error = "readwrite".parse::<Anonymous>().unwrap_err().to_string();
        assert_eq!(error, "`readwrite` is not a value of `anonymous`: expected `off`, `read` or `read_write`");
    }
}
