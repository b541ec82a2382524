//! Sessions that are lost and PINs that are refused, in a SoftHSM token.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod support;

use std::sync::{Arc, Mutex};

use aether_mqtt::SignatureScheme;
use aether_pkcs11::{Pin, Pkcs11Options};
use aether_provisioning::{KeyError, KeySource};
use support::{PIN, chain, in_processes, pin, session, signs_a_request, somebody_else, start};

const DEVICE: &str = "token=plant;object=device-key";

#[test]
fn a_lost_session_is_opened_again_within_the_call() {
    in_processes(
        "a_lost_session_is_opened_again_within_the_call",
        &[|tokens| {
            let keys = tokens.keys(DEVICE, Pkcs11Options::default());
            let key = keys.make().unwrap();
            let sign = || key.sign(SignatureScheme::EcdsaP256Sha256, b"message");

            // Logged out: sessions stay, and private keys are out of reach.
            session("plant").logout().unwrap();
            assert!(sign().is_ok());
            // The library is stopped under us, as a program around us may do at its end.
            somebody_else().finalize().unwrap();
            assert!(sign().is_ok());
            // And started again: what we hold is no session of this start.
            somebody_else().finalize().unwrap();
            let _started = start();
            assert!(sign().is_ok());
            signs_a_request(&key);
            somebody_else().finalize().unwrap();
            assert_eq!(keys.make().unwrap().public_key_der(), key.public_key_der());
        }],
    );
}

#[test]
fn a_token_that_is_gone_for_good_may_come_back() {
    in_processes(
        "a_token_that_is_gone_for_good_may_come_back",
        &[|tokens| {
            let key = tokens.keys(DEVICE, Pkcs11Options::default()).make().unwrap();
            let (there, away) = (tokens.home().join("objects"), tokens.home().join("away"));
            std::fs::rename(&there, &away).unwrap();
            std::fs::create_dir(&there).unwrap();
            somebody_else().finalize().unwrap();
            let error = key.sign(SignatureScheme::EcdsaP256Sha256, b"message").unwrap_err();
            assert!(error.is_retryable(), "{error:?}");
            assert!(chain(&error).contains("no token fits"), "{}", chain(&error));

            std::fs::remove_dir_all(&there).unwrap();
            std::fs::rename(&away, &there).unwrap();
            somebody_else().finalize().unwrap();
            assert!(key.sign(SignatureScheme::EcdsaP256Sha256, b"message").is_ok());
        }],
    );
}

#[test]
fn a_refused_pin_is_not_tried_again_and_a_mended_one_is() {
    in_processes(
        "a_refused_pin_is_not_tried_again_and_a_mended_one_is",
        &[|tokens| {
            tokens.write_pin("wrong-pin-of-nobody", 0o600);
            let refused = || {
                let error = tokens.keys(DEVICE, Pkcs11Options::default()).make().unwrap_err();
                assert!(matches!(error, KeyError::Refused(_)) && !error.is_retryable(), "{error:?}");
                let shown = format!("{} {error:?}", chain(&error));
                assert!(!shown.contains("wrong-pin-of-nobody"), "{shown}");
                shown
            };
            let shown = refused();
            assert!(shown.contains("PinIncorrect"), "{shown}");
            for _ in 0..10 {
                let shown = refused();
                assert!(shown.contains("is not tried again, as that would lock the token"), "{shown}");
            }
            tokens.write_pin(PIN, 0o600);
            assert!(tokens.keys(DEVICE, Pkcs11Options::default()).make().is_ok());
        }],
    );
}

#[test]
fn a_pin_has_to_be_given_and_to_be_kept_from_others() {
    in_processes(
        "a_pin_has_to_be_given_and_to_be_kept_from_others",
        &[|tokens| {
            tokens.write_pin(PIN, 0o640);
            let error = tokens.keys(DEVICE, Pkcs11Options::default()).make().unwrap_err();
            let said = chain(&error);
            assert!(said.contains("mode 0640") && said.contains("chmod 600") && !error.is_retryable(), "{said}");

            let bare = || format!("pkcs11:{DEVICE}").parse().unwrap();
            let options = || Pkcs11Options::default().module(support::module());
            let error = aether_pkcs11::Pkcs11Keys::new(bare(), options()).unwrap().make().unwrap_err();
            assert!(chain(&error).contains("asks for a PIN, and there is none"), "{}", chain(&error));
            assert!(aether_pkcs11::Pkcs11Keys::new(bare(), options().pin(pin())).unwrap().make().is_ok());
        }],
    );
}

/// Collects what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_pin_is_in_no_log_and_no_debug_output() {
    in_processes(
        "the_pin_is_in_no_log_and_no_debug_output",
        &[|tokens| {
            let log = Log::default();
            let writer = log.clone();
            tracing_subscriber::fmt()
                .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
                .with_writer(move || writer.clone())
                .init();
            let options = Pkcs11Options::default().pin(pin());
            let mut shown = format!("{options:?}");
            let keys = tokens.keys(DEVICE, options);
            let key = keys.make().unwrap();
            somebody_else().finalize().unwrap();
            signs_a_request(&key);
            let wrong = Pkcs11Options::default().pin(Pin::new("wrong-pin-of-nobody").unwrap());
            session("plant").logout().unwrap();
            let error = tokens.keys(DEVICE, wrong).make().unwrap_err();
            shown += &format!("{keys:?} {key:?} {error:?} {}", chain(&error));
            shown += &String::from_utf8_lossy(&log.0.lock().unwrap());
            assert!(shown.contains("key made in the token") && shown.contains("session lost"), "{shown}");
            assert!(!shown.contains(PIN) && !shown.contains("wrong-pin-of-nobody"), "{shown}");
        }],
    );
}
