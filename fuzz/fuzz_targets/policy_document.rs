//! Policy documents: read, asked, explained.
//!
//! Input: the document, and after a line with `---` what the request is made of, one `name=value` a
//! line: `action`, `resource`, `client`, `ip`, `thing`, `attribute`, `cn`, `serial`, `will`, `persistent`,
//! `time`.

#![no_main]

use std::time::{Duration, UNIX_EPOCH};

use aether_iot_policy::{
    Action, Attachment, Certificate, Context, DecisionKind, Document, NameAttribute, Policy, Request, Resource, Thing,
    evaluate, explain,
};
use libfuzzer_sys::fuzz_target;

const USUAL: &str = "resource=arn:aws:iot:eu-west-1:123456789012:topic/press-3\nclient=press-3\nthing=press-3\ncn=a,b";

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (body, facts) = text.split_once("\n---\n").unwrap_or((text, USUAL));
    let document = match Document::parse(body) {
        Ok(document) => document,
        Err(error) => {
            assert!(error.to_string().len() < 4096, "an error stays readable");
            return;
        }
    };
    let fact = |name: &str| facts.lines().filter_map(|line| line.split_once('=')).find(|(known, _)| *known == name);
    let fact = |name: &str| fact(name).map(|(_, value)| value);

    let context = context(fact, facts);
    let resource: Resource = fact("resource").and_then(|text| text.parse().ok()).unwrap_or_else(Resource::any);
    let asked: Option<Action> = fact("action").and_then(|text| text.parse().ok());
    let deny = r#"{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}"#;
    let deny = Document::parse(deny).expect("this document is valid");
    let policies = [Policy::new("fuzzed", document), Policy::new("deny", deny)];
    for action in asked.into_iter().chain([Action::Connect, Action::Publish]) {
        let mut request = Request::new(action, &resource, &context);
        if let Some(seconds) = fact("time").and_then(|text| text.parse().ok()) {
            request = request.at(UNIX_EPOCH + Duration::from_secs(u64::from(u32::min(seconds, u32::MAX))));
        }
        let decision = evaluate(&policies[..1], &request);
        let explanation = explain(&policies[..1], &request);
        assert_eq!(explanation.decision, decision.kind());
        let named = explanation.decided_by.map(|at| &explanation.statements[at]);
        assert_eq!(named.map(|by| by.index), decision.decided_by().map(|by| by.statement));
        assert!(!explanation.to_string().contains('\u{1b}'), "no control character reaches a terminal");
        assert!(explanation.to_json().starts_with('{'));
        assert_eq!(evaluate(&policies, &request).kind(), DecisionKind::ExplicitDeny);
    }
});

fn context<'a>(fact: impl Fn(&str) -> Option<&'a str>, facts: &str) -> Context {
    let mut context = Context::new();
    if let Some(client_id) = fact("client") {
        context = context.with_client_id(client_id);
    }
    if let Some(address) = fact("ip").and_then(|text| text.parse().ok()) {
        context = context.with_source_ip(address);
    }
    if let Some(name) = fact("thing") {
        let attribute = fact("attribute").unwrap_or("hall-b");
        let thing = Thing::new(name).with_type("press").with_attribute("site", attribute);
        context = context.with_thing(thing, Attachment::Shared);
    }
    let names = facts.lines().filter_map(|line| line.strip_prefix("cn="));
    let certificate =
        names.fold(Certificate::new(), |certificate, name| certificate.with_subject(NameAttribute::CommonName, name));
    context = context.with_certificate(match fact("serial") {
        Some(serial) => certificate.with_serial_number(serial),
        None => certificate,
    });
    if let Some(topic) = fact("will").and_then(|text| text.parse().ok()) {
        context = context.with_last_will(&topic);
    }
    if fact("persistent").is_some() { context.with_persistent_session() } else { context }
}
