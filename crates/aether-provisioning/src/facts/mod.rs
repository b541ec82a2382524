//! What a device knows about itself, and where the template's parameters come from.
//!
//! ```text
//!  Literal, File, Env, Fact ──▶ Parameter::resolve() ──▶ value of a template parameter
//!                      └─ hostname, serial, mac, mac:eth0, machine-id
//! ```

mod collect;
mod error;
mod mac;
mod machine_id;
mod parameter;
mod serial;

use std::fmt;
use std::path::Path;
use std::str::FromStr;

pub use error::FactError;
pub use parameter::{Parameter, ParameterError};

use collect::Search;

/// Something a device can be told by, collected on Linux when it is provisioned.
///
/// | written | value | read from |
/// | --- | --- | --- |
/// | `hostname` | the host's name, `press-3` | `/proc/sys/kernel/hostname`, else `/etc/hostname` |
/// | `serial` | the number on its label | DMI's `product_serial` (as root only), the device tree's `serial-number`, `Serial` of `/proc/cpuinfo` (Raspberry Pi); what makers put there in place of a number is passed over |
/// | `mac` | `b8:27:eb:12:34:56` | the first Ethernet or Wi-Fi interface with hardware, by name, that has a permanent address made by its maker |
/// | `mac:eth0` | likewise | that interface, whatever kind it is |
/// | `machine-id` | 32 hexadecimal digits | `/etc/machine-id`, hashed |
///
/// The machine id itself never leaves the machine: `machine-id(5)` asks to keep it confidential. What is given is an
/// HMAC-SHA256 of it under Aether's application id `00b75b93-0f33-4679-b73c-4a13f795e0cb`, shortened as systemd does:
/// the same as `systemd-id128 machine-id --app-specific=00b75b930f334679b73c4a13f795e0cb` prints. It changes when the
/// system is installed anew, and is the same on two devices that were set up from one image which already had an id.
///
/// Values have no white space around them, no control characters and at most 4096 characters, the limit of a template
/// parameter. A template that makes the name of a Thing of one has more to keep to: Thing names have 1 to 128 letters,
/// digits, `:`, `_` and `-`. A MAC address and the machine id always fit; a host name with dots and many a serial number
/// do not.
///
/// ```
/// use aether_provisioning::Fact;
///
/// let fact: Fact = "mac:eth0".parse()?;
/// assert_eq!(fact.to_string(), "mac:eth0");
/// match fact.collect() {
///     Ok(address) => println!("{address}"),
///     Err(error) => println!("{error}"), // says where it looked, and what helps
/// }
/// # Ok::<(), aether_provisioning::InvalidFact>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fact(Kind);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Kind {
    Hostname,
    Serial,
    /// Of the interface with this name, or of the first that fits.
    Mac(Option<Box<str>>),
    MachineId,
}

/// A text that names no fact.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("fact is {found:?}, expected hostname, serial, mac, mac:<interface> such as mac:eth0, or machine-id")]
pub struct InvalidFact {
    found: Box<str>,
}

impl Fact {
    /// Collects it from this machine.
    ///
    /// # Errors
    ///
    /// The machine does not have it, or does not let this user read it. The error names each place looked at, what was
    /// found there, and what helps.
    pub fn collect(&self) -> Result<String, FactError> {
        self.collect_below(Path::new("/"))
    }

    /// Collects it from the files below `root` instead of `/`: those of another system, or of a test. Symbolic links are
    /// followed as they are, so that one with an absolute target leads out of `root`.
    ///
    /// # Errors
    ///
    /// As [`collect`](Self::collect).
    pub fn collect_below(&self, root: &Path) -> Result<String, FactError> {
        let mut search = Search::below(root);
        let found = match &self.0 {
            Kind::Hostname => collect::hostname(&mut search),
            Kind::Serial => serial::serial(&mut search),
            Kind::Mac(None) => mac::first(&mut search),
            Kind::Mac(Some(interface)) => mac::of(interface, &mut search),
            Kind::MachineId => machine_id::machine_id(&mut search),
        };
        found.ok_or_else(|| FactError::new(self.clone(), search.into_looked(), self.remedy()))
    }

    fn remedy(&self) -> &'static str {
        match &self.0 {
            Kind::Hostname => "give the host a name with hostnamectl, or the parameter a value of its own",
            Kind::Serial => {
                "run as root where only root may read it, or give the parameter a value of its own or from a file"
            }
            Kind::Mac(None) => "name an interface, such as mac:eth0, or give the parameter a value of its own",
            Kind::Mac(Some(_)) => "name an interface that /sys/class/net has, or give the parameter a value of its own",
            Kind::MachineId => "have one made with systemd-machine-id-setup, or give the parameter a value of its own",
        }
    }
}

impl FromStr for Fact {
    type Err = InvalidFact;

    fn from_str(text: &str) -> Result<Self, InvalidFact> {
        let invalid = || InvalidFact { found: text.chars().take(100).collect() };
        Ok(Self(match text {
            "hostname" => Kind::Hostname,
            "serial" => Kind::Serial,
            "mac" => Kind::Mac(None),
            "machine-id" => Kind::MachineId,
            other => {
                let interface = other.strip_prefix("mac:").filter(|name| is_interface(name)).ok_or_else(invalid)?;
                Kind::Mac(Some(interface.into()))
            }
        }))
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Hostname => f.write_str("hostname"),
            Kind::Serial => f.write_str("serial"),
            Kind::Mac(None) => f.write_str("mac"),
            Kind::Mac(Some(interface)) => write!(f, "mac:{interface}"),
            Kind::MachineId => f.write_str("machine-id"),
        }
    }
}

/// What Linux takes as the name of an interface: 1 to 15 bytes that make the name of a directory.
fn is_interface(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_graphic() && c != '/';
    (1..=15).contains(&name.len()) && name != "." && name != ".." && name.chars().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fact_is_written_as_it_is_read() {
        for text in ["hostname", "serial", "mac", "mac:eth0", "mac:wlan0.7", "machine-id"] {
            assert_eq!(text.parse::<Fact>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_fact_is_refused_and_no_interface_is_a_path() {
        for text in
            ["", "MAC", "mac:", "mac:..", "mac:.", "mac:a/b", "mac:../../etc", "mac:a b", "mac:sixteencharacter"]
        {
            let error = text.parse::<Fact>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("fact is {text:?}, expected hostname")), "{error}");
        }
    }
}
