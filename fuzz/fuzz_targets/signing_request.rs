//! Certificate signing requests, as a user's file brings them.

#![no_main]

use aether_provisioning::SigningRequest;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(request) = SigningRequest::from_pem(data) {
        assert!(request.as_pem().len() <= SigningRequest::MAX_LEN + 1, "what is taken, AWS takes");
        let again = SigningRequest::from_pem(request.as_pem().as_bytes());
        assert!(again.is_ok_and(|again| again == request), "what is written is read back");
    }
});
