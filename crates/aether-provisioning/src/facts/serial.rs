//! The serial number that a maker put into firmware.

use super::collect::{Search, fault, read, reason, trimmed};

/// Longest `/proc/cpuinfo` that is read: it has some lines for every core.
const CPUINFO_LIMIT: u64 = 1 << 20;

/// What boards come with whose maker has not filled in a number; compared without case.
const PLACEHOLDERS: &[&str] = &[
    "to be filled by o.e.m.",
    "to be filled by oem",
    "default string",
    "system serial number",
    "serial number",
    "not specified",
    "not applicable",
    "not available",
    "unspecified",
    "unknown",
    "none",
    "null",
    "n/a",
    "na",
    "oem",
    "o.e.m.",
    "123456789",
    "1234567890",
    "0123456789",
];

/// The number from DMI, else from the device tree, else from the processor.
pub(super) fn serial(search: &mut Search) -> Option<String> {
    search
        .value("sys/class/dmi/id/product_serial", placeholder)
        .or_else(|| search.value("proc/device-tree/serial-number", placeholder))
        .or_else(|| of_processor(search))
}

fn of_processor(search: &mut Search) -> Option<String> {
    let path = search.path("proc/cpuinfo");
    let text = match read(&path, CPUINFO_LIMIT) {
        Ok(text) => text,
        Err(cause) => {
            search.note(path, reason(&cause));
            return None;
        }
    };
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    let serial = lines.filter(|(name, _)| name.trim() == "Serial").map(|(_, value)| trimmed(value)).next();
    let Some(serial) = serial else {
        search.note(path, "has no Serial");
        return None;
    };
    match fault(serial).or_else(|| placeholder(serial)) {
        None => Some(serial.to_owned()),
        Some(why) => {
            search.note(path, why);
            None
        }
    }
}

/// Why a text is no serial number.
fn placeholder(text: &str) -> Option<&'static str> {
    let lower = text.to_ascii_lowercase();
    let same =
        text.chars().all(|c| matches!(c, '0' | '-' | '.' | ' ')) || lower.chars().all(|c| matches!(c, 'x' | 'f'));
    (same || PLACEHOLDERS.contains(&lower.as_str())).then_some("holds a placeholder")
}

#[cfg(test)]
mod tests {
    use super::super::collect::tests::collected;

    const DMI: &str = "sys/class/dmi/id/product_serial";
    const TREE: &str = "proc/device-tree/serial-number";
    const CPU: &str = "proc/cpuinfo";
    const RASPBERRY: &str = "processor\t: 0\nBogoMIPS\t: 108.00\n\nRevision\t: c03111\nSerial\t\t: 10000000a1b2c3d4\n\
                             Model\t\t: Raspberry Pi 4 Model B\n";

    #[test]
    fn the_serial_is_taken_from_dmi_then_the_device_tree_then_the_processor() {
        let (dmi, tree, cpu) = ((DMI, "  P3-00017 \n"), (TREE, "tree-7\0"), (CPU, RASPBERRY));
        assert_eq!(collected("serial", &[dmi, tree, cpu]).unwrap(), "P3-00017");
        assert_eq!(collected("serial", &[tree, cpu]).unwrap(), "tree-7");
        assert_eq!(collected("serial", &[cpu]).unwrap(), "10000000a1b2c3d4");
    }

    #[test]
    fn a_placeholder_is_no_serial() {
        for text in
            ["To Be Filled By O.E.M.", "Default string", "0", "00000000", "0123456789", "xxxxxxxx", "N/A", "none"]
        {
            assert_eq!(collected("serial", &[(DMI, text), (TREE, "tree-7\0")]).unwrap(), "tree-7", "{text}");
        }
        let zeros = "Serial\t\t: 0000000000000000\n";
        assert!(collected("serial", &[(CPU, zeros)]).unwrap_err().contains("/proc/cpuinfo (holds a placeholder)"));
    }

    #[test]
    fn a_machine_without_a_serial_names_all_three_places_and_the_fix() {
        let error = collected("serial", &[(CPU, "processor\t: 0\n")]).unwrap_err();
        assert_eq!(
            error,
            "this machine gives no serial: looked at /sys/class/dmi/id/product_serial (not there), \
             /proc/device-tree/serial-number (not there), /proc/cpuinfo (has no Serial); run as root where only root \
             may read it, or give the parameter a value of its own or from a file"
        );
    }
}
