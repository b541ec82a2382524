//! Keys in a SoftHSM token: made, found again, used by many, and what is refused.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod support;

use aether_mqtt::{KeyAlgorithm, SignatureScheme};
use aether_pkcs11::{Pkcs11Error, Pkcs11Keys, Pkcs11Options};
use aether_provisioning::{KeyError, KeyKind, KeySource};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectClass};
use cryptoki::session::UserType;
use cryptoki::types::AuthPin;
use support::{Tokens, chain, in_processes, session, signs_a_request, start};

const DEVICE: &str = "token=plant;object=device-key";

#[test]
fn a_key_is_made_once_and_found_again_after_a_restart() {
    fn made(tokens: &Tokens) {
        let key = tokens.keys(DEVICE, Pkcs11Options::default()).make().unwrap();
        assert_eq!((key.algorithm(), key.pem()), (KeyAlgorithm::EcdsaP256, None));
        signs_a_request(&key);
        std::fs::write(tokens.home().join("locator"), key.locator().unwrap()).unwrap();
        std::fs::write(tokens.home().join("public"), key.public_key_der()).unwrap();
    }
    fn found(tokens: &Tokens) {
        let locator = std::fs::read_to_string(tokens.home().join("locator")).unwrap();
        let public = std::fs::read(tokens.home().join("public")).unwrap();
        assert!(locator.starts_with("pkcs11:token=plant;serial="), "{locator}");
        assert!(locator.contains(";object=device-key;id=") && locator.ends_with(";type=private"), "{locator}");
        let keys = tokens.keys(DEVICE, Pkcs11Options::default());
        for key in [keys.open(&locator).unwrap(), keys.make().unwrap()] {
            assert_eq!((key.public_key_der(), key.locator()), (&public[..], Some(locator.as_str())));
            signs_a_request(&key);
        }
    }
    in_processes("a_key_is_made_once_and_found_again_after_a_restart", &[made, found, found]);
}

#[test]
fn a_key_stays_in_its_token() {
    in_processes(
        "a_key_stays_in_its_token",
        &[|tokens| {
            for (kind, secret) in
                [(KeyKind::EcP256, AttributeType::Value), (KeyKind::Rsa2048, AttributeType::PrivateExponent)]
            {
                let label = kind.as_str();
                let keys = tokens.keys(&format!("token=plant;object={label}"), Pkcs11Options::default().kind(kind));
                let _key = keys.make().unwrap();
                // The login holds for the whole process.
                let session = session("plant");
                let template = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Label(label.into())];
                let found = session.find_objects(&template).unwrap();
                assert_eq!(found.len(), 1);
                let wanted = [
                    AttributeType::Sensitive,
                    AttributeType::AlwaysSensitive,
                    AttributeType::NeverExtractable,
                    AttributeType::Token,
                    AttributeType::Private,
                ];
                let attributes = session.get_attributes(found[0], &wanted).unwrap();
                assert_eq!(
                    attributes,
                    [
                        Attribute::Sensitive(true),
                        Attribute::AlwaysSensitive(true),
                        Attribute::NeverExtractable(true),
                        Attribute::Token(true),
                        Attribute::Private(true)
                    ]
                );
                let shown = session.get_attributes(found[0], &[secret]);
                assert!(shown.is_err() || shown.unwrap().is_empty());
            }
        }],
    );
}

#[test]
fn every_kind_of_key_signs_its_request() {
    in_processes(
        "every_kind_of_key_signs_its_request",
        &[|tokens| {
            for kind in [KeyKind::EcP256, KeyKind::EcP384, KeyKind::Rsa2048, KeyKind::Rsa3072] {
                let options = Pkcs11Options::default().kind(kind);
                let key = tokens.keys(&format!("token=plant;object={kind}"), options).make().unwrap();
                assert_eq!(key.algorithm(), kind.algorithm());
                signs_a_request(&key);
                for &scheme in key.algorithm().schemes() {
                    assert!(key.sign(scheme, b"message").is_ok(), "{kind} with {scheme}");
                }
                assert!(key.sign(SignatureScheme::Ed25519, b"message").is_err());
            }
        }],
    );
}

#[test]
fn a_key_is_found_by_its_id_and_made_under_it() {
    in_processes(
        "a_key_is_found_by_its_id_and_made_under_it",
        &[|tokens| {
            let made = tokens.keys("token=plant;id=%01%FF", Pkcs11Options::default()).make().unwrap();
            let found = tokens.keys("token=plant;id=%01%FF;object=aether-device-key", Pkcs11Options::default());
            assert_eq!(found.make().unwrap().public_key_der(), made.public_key_der());
            assert!(made.locator().unwrap().ends_with(";object=aether-device-key;id=%01%FF;type=private"));
        }],
    );
}

#[test]
fn a_new_key_each_time_has_a_place_of_its_own() {
    in_processes(
        "a_new_key_each_time_has_a_place_of_its_own",
        &[|tokens| {
            let keys = tokens.keys(DEVICE, Pkcs11Options::default().always_new());
            let (one, two) = (keys.make().unwrap(), keys.make().unwrap());
            assert_ne!(one.public_key_der(), two.public_key_der());
            for key in [&one, &two] {
                let opened = keys.open(key.locator().unwrap()).unwrap();
                assert_eq!(opened.public_key_der(), key.public_key_der());
                signs_a_request(&opened);
            }
            // Who asks for the one key of that name is told that there are two.
            let error = tokens.keys(DEVICE, Pkcs11Options::default()).make().unwrap_err();
            assert!(matches!(error, KeyError::Unusable { .. }) && !error.is_retryable(), "{error:?}");
            assert!(chain(&error).ends_with("2 private keys fit: add id="), "{}", chain(&error));
        }],
    );
}

#[test]
fn a_removed_key_is_gone_and_its_namesake_stays() {
    in_processes(
        "a_removed_key_is_gone_and_its_namesake_stays",
        &[|tokens| {
            let keys = tokens.keys(DEVICE, Pkcs11Options::default().always_new());
            let (old, new) = (keys.make().unwrap(), keys.make().unwrap());
            let (old, new) = (old.locator().unwrap(), new.locator().unwrap());
            assert!(keys.remove("pkcs11:token=plant;object=device-key").is_err());
            assert!(!keys.remove(&old.replace("token=plant", "token=other")).unwrap());
            assert!(keys.remove(old).unwrap());
            assert!(!keys.remove(old).unwrap());
            assert!(matches!(keys.open(old), Err(KeyError::NotFound { .. })));
            signs_a_request(&keys.open(new).unwrap());
            let left = session("plant").find_objects(&[Attribute::Label(b"device-key".to_vec())]).unwrap();
            assert_eq!(left.len(), 2, "one private key and its public half");
        }],
    );
}

#[test]
fn many_threads_sign_at_once() {
    in_processes(
        "many_threads_sign_at_once",
        &[|tokens| {
            let key = tokens.keys(DEVICE, Pkcs11Options::default()).make().unwrap();
            let other = tokens.keys("token=plant;object=other", Pkcs11Options::default()).make().unwrap();
            std::thread::scope(|scope| {
                for key in [&key, &other, &key, &other] {
                    scope.spawn(|| (0..25).for_each(|_| signs_and_verifies(key)));
                }
            });
        }],
    );
}

/// The maker of requests verifies what the key has signed.
fn signs_and_verifies(key: &aether_mqtt::PrivateKey) {
    aether_provisioning::SigningRequest::make(key, "x").unwrap();
}

#[test]
fn the_token_has_to_be_there_and_the_only_one_that_fits() {
    in_processes(
        "the_token_has_to_be_there_and_the_only_one_that_fits",
        &[
            |tokens| {
                let error = tokens.keys("token=other;object=x", Pkcs11Options::default()).make().unwrap_err();
                assert!(matches!(error, KeyError::Unavailable(_)) && error.is_retryable(), "{error:?}");
                let said = chain(&error);
                assert!(said.contains("token=other") && said.contains("found \"plant\" (serial "), "{said}");
                tokens.add("plant");
                tokens.add("other");
            },
            |tokens| {
                let keys = tokens.keys("token=other;object=x", Pkcs11Options::default());
                let locator = keys.make().unwrap().locator().unwrap().to_owned();
                let error = tokens.keys(DEVICE, Pkcs11Options::default()).make().unwrap_err();
                assert!(chain(&error).contains("2 tokens fit") && !error.is_retryable(), "{}", chain(&error));
                let serial = locator.split(';').find(|part| part.starts_with("serial=")).unwrap();
                let by_serial = tokens.keys(&format!("{serial};object=x"), Pkcs11Options::default());
                assert!(by_serial.open(&locator).is_ok());
            },
        ],
    );
}

#[test]
fn what_is_not_in_the_token_is_not_found() {
    in_processes(
        "what_is_not_in_the_token_is_not_found",
        &[|tokens| {
            let keys = tokens.keys(DEVICE, Pkcs11Options::default());
            let made = keys.make().unwrap();
            for locator in ["pkcs11:token=plant;object=other", "pkcs11:token=other;object=device-key", "pkcs11:id=%00"]
            {
                let error = keys.open(locator).unwrap_err();
                assert!(matches!(&error, KeyError::NotFound { locator: at } if at == locator), "{error:?}");
            }
            for locator in ["", "/etc/aether/key.pem", "pkcs11:token=plant"] {
                let error = keys.open(locator).unwrap_err();
                assert!(matches!(&error, KeyError::Unusable { .. }), "{error:?}");
            }
            // Deleted by somebody else, while we hold it.
            let session = session("plant");
            for object in session.find_objects(&[Attribute::Class(ObjectClass::PRIVATE_KEY)]).unwrap() {
                session.destroy_object(object).unwrap();
            }
            let error = made.sign(SignatureScheme::EcdsaP256Sha256, b"x").unwrap_err();
            assert!(chain(&error).ends_with("the key is gone from the token"), "{}", chain(&error));
        }],
    );
}

#[test]
fn keys_that_tls_or_aws_cannot_use_are_refused_by_kind() {
    in_processes(
        "keys_that_tls_or_aws_cannot_use_are_refused_by_kind",
        &[|tokens| {
            // secp521r1, and RSA of 1024 bits.
            let curve = vec![0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23];
            let _open = tokens.keys(DEVICE, Pkcs11Options::default()).make().unwrap();
            for (label, mechanism, parameter, said) in [
                ("p521", Mechanism::EccKeyPairGen, Attribute::EcParams(curve), "another curve than P-256 and P-384"),
                ("weak", Mechanism::RsaPkcsKeyPairGen, Attribute::ModulusBits(1024.into()), "RSA of 1024 bits"),
            ] {
                let common = [Attribute::Token(true), Attribute::Label(label.into())];
                let public = [&common[..], &[parameter]].concat();
                session("plant").generate_key_pair(&mechanism, &public, &common).unwrap();
                let keys = tokens.keys(&format!("token=plant;object={label}"), Pkcs11Options::default());
                let error = keys.make().unwrap_err();
                assert!(matches!(error, KeyError::Unusable { .. }), "{error:?}");
                assert!(chain(&error).contains(said), "{}", chain(&error));
            }
        }],
    );
}

#[test]
fn a_key_made_by_another_tool_is_used() {
    in_processes(
        "a_key_made_by_another_tool_is_used",
        &[|tokens| {
            // Somebody else has started the library already.
            let _started = start();
            let session = session("plant");
            session.login(UserType::User, Some(&AuthPin::from(support::PIN.to_owned()))).unwrap();
            // Without an identifier: the halves are told by their label.
            let common = [Attribute::Token(true), Attribute::Label(b"device-key".to_vec())];
            let public = [&common[..], &[Attribute::ModulusBits(2048.into())]].concat();
            session.generate_key_pair(&Mechanism::RsaPkcsKeyPairGen, &public, &common).unwrap();
            let key = tokens.keys(DEVICE, Pkcs11Options::default()).make().unwrap();
            assert_eq!(key.algorithm(), KeyAlgorithm::Rsa);
            signs_a_request(&key);
        }],
    );
}

#[test]
fn settings_that_cannot_work_are_refused_at_once() {
    let set_up = |uri: &str, options| Pkcs11Keys::new(uri.parse().unwrap(), options);
    let new = Pkcs11Options::default;
    assert!(matches!(set_up("pkcs11:object=x", new()), Err(Pkcs11Error::NoModule { .. })));
    assert!(matches!(set_up("pkcs11:token=plant", new()), Err(Pkcs11Error::NoKeyName { .. })));
    assert!(matches!(set_up("pkcs11:id=%01", new().always_new()), Err(Pkcs11Error::SharedId { .. })));
    let error = set_up("pkcs11:object=x?module-path=/nowhere.so", new()).unwrap_err();
    assert!(matches!(error, Pkcs11Error::ModulePath { .. }), "{error:?}");
    // A file that is no library, and a library that is none of a token.
    let program = std::env::current_exe().unwrap();
    let error = set_up("pkcs11:object=x", new().module(program)).unwrap_err();
    assert!(matches!(error, Pkcs11Error::Module { .. }), "{error:?}");
}
