//! What a ClientHello has to say: the protocol behind TLS (ALPN) and the name of the server (SNI).

/// The protocol behind TLS by its name: MQTT with a client certificate (sheet, 4.1).
pub(crate) const ALPN_MQTT: &[u8] = b"x-amzn-mqtt-ca";

/// Alerts as the TLS registry of IANA numbers them.
const MISSING_EXTENSION: u8 = 109;
const UNRECOGNIZED_NAME: u8 = 112;
const NO_APPLICATION_PROTOCOL: u8 = 120;

/// What is asked of a client's ALPN extension.
///
/// AWS tells its services on port 443 apart by it: `x-amzn-mqtt-ca` is MQTT with a client certificate,
/// `mqtt` MQTT with a custom authorizer, `x-amzn-http-ca` HTTPS. The sandbox serves the first, on
/// whatever port it listens on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AlpnRule {
    /// Without ALPN, as on AWS's port 8883, or with `x-amzn-mqtt-ca` among the names offered.
    #[default]
    Optional,
    /// Only with `x-amzn-mqtt-ca`, as on AWS's port 443.
    Required,
    /// Whatever is offered; none of it is chosen.
    Ignored,
}

/// What is asked of a client's SNI extension.
///
/// A name that is none of the server certificate's is refused under either rule. Addresses are no
/// names: a client that connects to one sends no SNI.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SniRule {
    /// Needed only with certificates registered in the mode `SNI_ONLY`, as newer AWS documents have it.
    #[default]
    Optional,
    /// Always needed, as AWS's documents of 2022 have it and for custom domains.
    Required,
}

/// What a ClientHello brought, once it was found good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Greeting {
    /// The client named the server.
    pub(crate) sni: bool,
    /// The client offered [`ALPN_MQTT`], and it is chosen.
    pub(crate) alpn: bool,
}

/// Why a ClientHello is not answered but with an alert.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("ALPN offers {found}, expected x-amzn-mqtt-ca among it")]
    Protocol { found: String },
    #[error("no ALPN, expected x-amzn-mqtt-ca")]
    NoProtocol,
    #[error("SNI is {found:?}, expected one of the server certificate's names: {expected}")]
    UnknownName { found: String, expected: String },
    #[error("no SNI, expected the name of the server")]
    NoName,
}

impl Refusal {
    /// The alert of a refusal, as a whole TLS record: fatal, before any key exists (RFC 8446,
    /// sections 5.1 and 6).
    pub(crate) fn alert(&self) -> [u8; 7] {
        let code = match self {
            Self::Protocol { .. } | Self::NoProtocol => NO_APPLICATION_PROTOCOL,
            Self::UnknownName { .. } => UNRECOGNIZED_NAME,
            // RFC 8446, section 9.2.
            Self::NoName => MISSING_EXTENSION,
        };
        [21, 3, 3, 0, 2, 2, code]
    }
}

impl AlpnRule {
    /// Judges the protocols a client offers; gives whether [`ALPN_MQTT`] is to be chosen.
    fn judge<'a>(self, offered: Option<impl Iterator<Item = &'a [u8]>>) -> Result<bool, Refusal> {
        let Some(offered) = offered else {
            return match self {
                Self::Required => Err(Refusal::NoProtocol),
                Self::Optional | Self::Ignored => Ok(false),
            };
        };
        let offered: Vec<_> = offered.collect();
        match self {
            Self::Ignored => Ok(false),
            Self::Optional | Self::Required if offered.contains(&ALPN_MQTT) => Ok(true),
            Self::Optional | Self::Required => {
                let shown: Vec<_> = offered.iter().map(|name| format!("{:?}", String::from_utf8_lossy(name))).collect();
                Err(Refusal::Protocol { found: shown.join(", ") })
            }
        }
    }
}

impl SniRule {
    /// Judges the name a client sends; gives whether there is one.
    fn judge(self, found: Option<&str>, names: &[String]) -> Result<bool, Refusal> {
        match (found, self) {
            (None, Self::Optional) => Ok(false),
            (None, Self::Required) => Err(Refusal::NoName),
            (Some(found), Self::Optional | Self::Required) => {
                let plain = found.strip_suffix('.').unwrap_or(found);
                match names.iter().any(|name| name.eq_ignore_ascii_case(plain)) {
                    true => Ok(true),
                    false => Err(Refusal::UnknownName { found: found.to_owned(), expected: names.join(", ") }),
                }
            }
        }
    }
}

impl Greeting {
    /// Judges a ClientHello by the rules and the names of the server certificate.
    pub(crate) fn judge<'a>(
        rules: (AlpnRule, SniRule),
        names: &[String],
        alpn: Option<impl Iterator<Item = &'a [u8]>>,
        sni: Option<&str>,
    ) -> Result<Self, Refusal> {
        // The name first: it says whether the client is at the right door at all.
        let sni = rules.1.judge(sni, names)?;
        Ok(Self { sni, alpn: rules.0.judge(alpn)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alpn(rule: AlpnRule, offered: Option<&[&str]>) -> Result<bool, Refusal> {
        rule.judge(offered.map(|offered| offered.iter().map(|name| name.as_bytes())))
    }

    #[test]
    fn only_the_protocol_for_client_certificates_is_served() {
        assert_eq!(alpn(AlpnRule::Optional, None), Ok(false));
        assert_eq!(alpn(AlpnRule::Optional, Some(&["x-amzn-mqtt-ca"])), Ok(true));
        assert_eq!(alpn(AlpnRule::Optional, Some(&["mqtt", "x-amzn-mqtt-ca"])), Ok(true));
        for other in ["mqtt", "x-amzn-http-ca", "h2", ""] {
            let refusal = alpn(AlpnRule::Optional, Some(&[other])).unwrap_err();
            assert!(refusal.to_string().contains(&format!("{other:?}")), "{refusal}");
            assert_eq!(refusal.alert(), [21, 3, 3, 0, 2, 2, 120]);
            assert_eq!(alpn(AlpnRule::Ignored, Some(&[other])), Ok(false));
        }
        assert_eq!(alpn(AlpnRule::Required, None), Err(Refusal::NoProtocol));
        assert_eq!(alpn(AlpnRule::Required, Some(&["x-amzn-mqtt-ca"])), Ok(true));
    }

    #[test]
    fn a_name_is_one_of_the_server_certificate_or_refused() {
        let names = ["localhost".to_owned(), "abc-ats.iot.eu-west-1.amazonaws.com".to_owned()];
        for rule in [SniRule::Optional, SniRule::Required] {
            assert_eq!(rule.judge(Some("LocalHost"), &names), Ok(true));
            assert_eq!(rule.judge(Some("abc-ats.iot.eu-west-1.amazonaws.com."), &names), Ok(true));
            let refusal = rule.judge(Some("example.com"), &names).unwrap_err();
            assert_eq!(refusal.alert()[6], 112);
            assert!(refusal.to_string().contains("\"example.com\""), "{refusal}");
        }
        assert_eq!(SniRule::Optional.judge(None, &names), Ok(false));
        assert_eq!(SniRule::Required.judge(None, &names), Err(Refusal::NoName));
    }
}
