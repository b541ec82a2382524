//! Addresses of network interfaces, from sysfs.

use std::fs;

use super::collect::{Search, read, reason};

const INTERFACES: &str = "sys/class/net";

/// Most interfaces that are looked at.
const MOST: usize = 4096;

/// `ARPHRD_ETHER`: Ethernet and Wi-Fi.
const ETHERNET: &str = "1";

/// `NET_ADDR_PERM`: the address the hardware came with, and not one made up or set since.
const PERMANENT: &str = "0";

/// The address of the first interface, in the order of the names' bytes, that has hardware behind it and an address
/// of its maker's. What software makes up differs from one start to the next or is on other machines too.
pub(super) fn first(search: &mut Search) -> Option<String> {
    let folder = search.path(INTERFACES);
    let mut names: Vec<String> = match fs::read_dir(&folder) {
        Ok(entries) => entries.take(MOST).filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect(),
        Err(cause) => {
            search.note(folder, reason(&cause));
            return None;
        }
    };
    names.sort();
    if names.is_empty() {
        search.note(folder, "has no interface");
    }
    names.iter().find_map(|name| match judged(name, search) {
        Ok(address) => Some(address),
        Err(why) => {
            search.note(search.path(&format!("{INTERFACES}/{name}")), why);
            None
        }
    })
}

/// The address of the interface with this name.
pub(super) fn of(name: &str, search: &mut Search) -> Option<String> {
    address(name, search).map_err(|why| search.note(search.path(&format!("{INTERFACES}/{name}/address")), why)).ok()
}

fn judged(name: &str, search: &Search) -> Result<String, String> {
    let is = |file: &str, wanted: &str| attribute(name, file, search).map(|found| found == wanted);
    if name == "lo" {
        return Err("the loopback".to_owned());
    }
    if fs::symlink_metadata(search.path(&format!("{INTERFACES}/{name}/device"))).is_err() {
        return Err("no hardware behind it".to_owned());
    }
    if !is("type", ETHERNET)? {
        return Err("neither Ethernet nor Wi-Fi".to_owned());
    }
    // Older kernels do not tell.
    if !is("addr_assign_type", PERMANENT).unwrap_or(true) {
        return Err("its address was made up or set by software".to_owned());
    }
    let address = address(name, search)?;
    // Bit 1 of the first octet: administered locally, not given by the maker.
    let local = u8::from_str_radix(&address[..2], 16).is_ok_and(|octet| octet & 0b10 != 0);
    if local { Err("its address is administered locally".to_owned()) } else { Ok(address) }
}

/// The address, in lower case, if it is that of one interface.
fn address(name: &str, search: &Search) -> Result<String, String> {
    let address = attribute(name, "address", search)?.to_ascii_lowercase();
    let octets: Vec<_> = address.split(':').collect();
    let is_octet = |octet: &&str| octet.len() == 2 && octet.chars().all(|c| c.is_ascii_hexdigit());
    if octets.len() != 6 || !octets.iter().all(is_octet) {
        return Err("holds no MAC address".to_owned());
    }
    if octets.iter().all(|octet| *octet == "00") {
        return Err("an address of zeros".to_owned());
    }
    // Bit 0 of the first octet: many receivers, the broadcast among them.
    if u8::from_str_radix(octets[0], 16).is_ok_and(|octet| octet & 1 != 0) {
        return Err("an address of many".to_owned());
    }
    Ok(address)
}

fn attribute(name: &str, file: &str, search: &Search) -> Result<String, String> {
    let text = read(&search.path(&format!("{INTERFACES}/{name}/{file}")), 256).map_err(|cause| reason(&cause))?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::collect::tests::collected;

    /// The files of an interface; `device` is a link in sysfs, for which a file does as well.
    fn interface(name: &str, address: &str, hardware: bool, extra: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut files = vec![("address", address), ("type", "1"), ("addr_assign_type", "0")];
        files.extend(hardware.then_some(("device", "")));
        files.retain(|(file, _)| !extra.iter().any(|(other, _)| file == other));
        files.extend(extra);
        files.iter().map(|(file, text)| (format!("sys/class/net/{name}/{file}"), format!("{text}\n"))).collect()
    }

    #[track_caller]
    fn mac(fact: &str, interfaces: &[Vec<(String, String)>]) -> Result<String, String> {
        let files: Vec<_> = interfaces.iter().flatten().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        collected(fact, &files)
    }

    #[test]
    fn the_first_interface_with_hardware_and_an_address_of_its_own_is_taken() {
        let interfaces = [
            interface("wlan0", "b8:27:eb:00:00:02", true, &[]),
            interface("lo", "00:00:00:00:00:00", false, &[("type", "772")]),
            interface("docker0", "00:42:00:00:00:01", false, &[]),
            interface("eth0", "B8:27:EB:00:00:01", true, &[]),
            interface("can0", "", true, &[("type", "280")]),
            interface("eth.zero", "00:00:00:00:00:00", true, &[]),
            interface("eth-local", "02:42:ac:11:00:02", true, &[]),
            interface("eth-set", "b8:27:eb:00:00:03", true, &[("addr_assign_type", "3")]),
        ];
        assert_eq!(mac("mac", &interfaces).unwrap(), "b8:27:eb:00:00:01");
        assert_eq!(mac("mac", &interfaces[..3]).unwrap(), "b8:27:eb:00:00:02");
    }

    #[test]
    fn a_named_interface_is_taken_as_it_is() {
        let interfaces = [interface("br0", "02:42:AC:11:00:02", false, &[("addr_assign_type", "3")])];
        assert_eq!(mac("mac:br0", &interfaces).unwrap(), "02:42:ac:11:00:02");
        let error = mac("mac:eth0", &interfaces).unwrap_err();
        assert!(error.contains("/sys/class/net/eth0/address (not there); name an interface that"), "{error}");
        for wrong in ["00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "b8:27:eb", "b8:27:eb:00:00:0x", "é:27:eb:00:00:00", ""]
        {
            assert!(mac("mac:eth0", &[interface("eth0", wrong, true, &[])]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn each_interface_passed_over_is_named_with_the_reason() {
        let error = mac(
            "mac",
            &[
                interface("lo", "00:00:00:00:00:00", false, &[]),
                interface("tun0", "", false, &[("type", "65534")]),
                interface("eth0", "02:42:ac:11:00:02", true, &[]),
            ],
        );
        assert_eq!(
            error.unwrap_err(),
            "this machine gives no mac: looked at /sys/class/net/eth0 (its address is administered locally), \
             /sys/class/net/lo (the loopback), /sys/class/net/tun0 (no hardware behind it); name an interface, such as \
             mac:eth0, or give the parameter a value of its own"
        );
        assert!(mac("mac", &[]).unwrap_err().contains("/sys/class/net (not there)"));
    }
}
