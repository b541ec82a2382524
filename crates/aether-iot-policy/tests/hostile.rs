//! No text makes the crate panic: arbitrary bytes, and documents that were valid once.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod support;

use std::time::{Duration, Instant};

use aether_iot_policy::{
    Action, Attachment, Certificate, Context, Document, NameAttribute, Policy, Request, Resource, Thing, evaluate,
    explain,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

const VALID: &str = r#"{"Version":"2012-10-17","Id":"é","Statement":[{"Sid":"a","Effect":"Allow","Action":["iot:Pub*","*"],
"Resource":["arn:aws:iot:eu-west-1:*:topic/${iot:ClientId}/?*${*}","*"],"Condition":{"ForAnyValue:StringLikeIfExists":
{"iot:Certificate.Subject.CommonName.List":["a*","${iot:Connection.Thing.Attributes[x]}"]},"IpAddress":{"aws:SourceIp":
"10.0.0.0/8"},"DateLessThan":{"aws:CurrentTime":"2026-07-31T10:20:30.5+02:00"},"NumericEquals":{"aws:EpochTime":1},
"ArnLike":{"iot:LastWillTopic":"arn:aws:iot:*:*:topic/${iot:ClientId}"},"Null":{"iot:ClientId":false}}}]}"#;

/// Words of documents, to splice in.
const WORDS: &[&str] = &[
    "${",
    "}",
    "*",
    "\"",
    "[",
    "]",
    "{",
    ",",
    ":",
    "\\u0000",
    "\\ud83d",
    "Not",
    "IfExists",
    "ForAllValues:",
    "null",
    "1e999",
    "-",
    ".List",
    ".99999999999",
    "/129",
    "T",
    "Z",
    "+",
    "é",
    "arn:",
    "iot:Certificate.Issuer.AlternativeName.",
];

fn context() -> Context {
    Context::new()
        .with_client_id("c*?")
        .with_source_ip([10, 0, 0, 1].into())
        .with_thing(Thing::new("é").with_attribute("x", ""), Attachment::Exclusive)
        .with_certificate(Certificate::new().with_subject(NameAttribute::CommonName, "a,\\+").with_serial_number(""))
        .with_last_will(&Resource::any())
}

/// Reads the text and, if it is a document, asks it everything.
fn ask(text: &str) -> bool {
    let _ = Document::check_size(text);
    let document = match Document::parse(text) {
        Ok(document) => document,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return false;
        }
    };
    let policies = [Policy::new("p", document)];
    let context = context();
    for action in Action::ALL {
        let resource = support::arns().for_action(*action, "c*?/é");
        let request = Request::new(*action, &resource, &context).at(std::time::UNIX_EPOCH - Duration::from_millis(1));
        let decision = evaluate(&policies, &request);
        if !matches!(action, Action::Connect | Action::Publish) {
            continue;
        }
        let explanation = explain(&policies, &request);
        assert_eq!(explanation.decision, decision.kind());
        assert!(!explanation.to_string().is_empty() && explanation.to_json().starts_with('{'));
    }
    true
}

#[test]
fn the_document_to_be_mutated_is_valid() {
    assert!(ask(VALID));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1500) })]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..200)) {
        ask(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn arbitrary_texts_in_the_right_places_never_panic(texts in vec("\\PC{0,20}", 5)) {
        let document = serde_json::json!({"Version": "2012-10-17", "Statement": {
            "Sid": texts[0], "Effect": "Allow", "Action": "*", "Resource": [format!("arn:{}", texts[1])],
            "Condition": {"StringLike": {texts[2].clone(): [texts[3]]}, "StringEqualsIgnoreCase": {"iot:ClientId": texts[4]}},
        }});
        ask(&document.to_string());
        let _ = (texts[0].parse::<Action>(), texts[1].parse::<Resource>());
    }

    #[test]
    fn mutated_documents_never_panic(edits in vec((any::<Index>(), 0..30usize, any::<Index>(), any::<bool>()), 1..6)) {
        let mut text: Vec<char> = VALID.chars().collect();
        for (at, length, word, insert) in edits {
            let at = at.index(text.len());
            let end = (at + length).min(text.len());
            let word: Vec<char> = if insert { word.get(WORDS).chars().collect() } else { Vec::new() };
            text.splice(at..end, word);
            if text.is_empty() {
                break;
            }
        }
        ask(&text.into_iter().collect::<String>());
    }
}

#[test]
fn many_stars_and_long_texts_stay_quick() {
    let stars = "*a".repeat(1000);
    let variables = "*${iot:Certificate.Subject.CommonName}".repeat(50);
    let policies = [support::policy(&format!(
        r#"{{"Effect":"Deny","Action":"*","Resource":["arn:{stars}x","arn:{variables}x"],
            "Condition":{{"StringLike":{{"iot:ClientId":"{stars}x"}}}}}}"#
    ))];
    let long = "a".repeat(2000);
    let certificate = Certificate::new().with_subject(NameAttribute::CommonName, &"a".repeat(1000));
    let context = Context::new().with_client_id(&long).with_certificate(certificate);
    let resource = format!("arn:aws:iot:::{long}").parse().unwrap();
    // Some milliseconds; trying every split at every star would outlast the machine.
    let started = Instant::now();
    assert!(!evaluate(&policies, &Request::new(Action::Publish, &resource, &context)).is_allowed());
    assert!(started.elapsed() < Duration::from_secs(10), "took {:?}", started.elapsed());
}
