//! PKCS#11 URIs, as a setting brings them.

#![no_main]

use aether_pkcs11::Pkcs11Uri;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| match text.parse::<Pkcs11Uri>() {
    Ok(uri) => {
        assert_eq!(uri.as_str(), text, "nothing is lost");
        assert!(uri.pin_source().is_none_or(|file| file.is_absolute()), "a PIN comes from one file wherever we run");
    }
    Err(error) => assert!(!error.to_string().is_empty()),
});
