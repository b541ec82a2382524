//! Cost of one decision: `cargo bench -p aether-iot-policy`.

#![allow(missing_docs, reason = "criterion_group! makes a public function")]
#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::hint::black_box;

use aether_iot_policy::{
    Action, Arns, Attachment, Context, Document, Policy, Request, Resource, Thing, evaluate, explain,
};
use criterion::{Criterion, criterion_group, criterion_main};

fn policy(statements: &str) -> [Policy; 1] {
    let document = Document::parse(&format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#)).unwrap();
    [Policy::new("bench", document)]
}

fn evaluation(c: &mut Criterion) {
    let arns = Arns::new("eu-west-1", "123456789012").unwrap();
    let topic = arns.topic("line7-press3");
    let client = arns.client("line7-press3");
    let context = Context::new()
        .with_client_id("line7-press3")
        .with_source_ip([192, 0, 2, 7].into())
        .with_thing(Thing::new("line7-press3").with_attribute("site", "hall-b"), Attachment::Shared);
    let device = policy(
        r#"{"Effect":"Allow","Action":"iot:Connect","Resource":"arn:aws:iot:eu-west-1:123456789012:client/${iot:Connection.Thing.ThingName}",
            "Condition":{"Bool":{"iot:Connection.Thing.IsAttached":"true"}}},
           {"Effect":"Allow","Action":"iot:Publish","Resource":"arn:aws:iot:eu-west-1:123456789012:topic/${iot:Connection.Thing.ThingName}"},
           {"Effect":"Allow","Action":"iot:Subscribe","Resource":"arn:aws:iot:eu-west-1:123456789012:topicfilter/${iot:ClientId}/*"},
           {"Effect":"Allow","Action":"iot:Receive","Resource":"arn:aws:iot:eu-west-1:123456789012:topic/*"}"#,
    );
    let mut group = c.benchmark_group("evaluate");
    let mut one = |name: &str, policies: &[Policy], action: Action, resource: &Resource| {
        let request = Request::new(action, resource, &context);
        group.bench_function(name, |b| b.iter(|| evaluate(black_box(policies), black_box(&request))));
    };
    one(
        "everything allowed",
        &policy(r#"{"Effect":"Allow","Action":"iot:*","Resource":"*"}"#),
        Action::Publish,
        &topic,
    );
    let literal = r#"{"Effect":"Allow","Action":"iot:Publish","Resource":"arn:aws:iot:eu-west-1:123456789012:topic/line7-press3"}"#;
    one("literal topic", &policy(literal), Action::Publish, &topic);
    one("device policy, publish to the Thing's topic", &device, Action::Publish, &topic);
    one("device policy, receive by a star", &device, Action::Receive, &topic);
    one("device policy, connect with a condition", &device, Action::Connect, &client);
    one("device policy, nothing allows", &device, Action::RetainPublish, &topic);
    let network = r#"{"Effect":"Allow","Action":"iot:*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}}"#;
    one("address in a network", &policy(network), Action::Publish, &topic);
    let stars = format!(r#"{{"Effect":"Deny","Action":"iot:*","Resource":"arn:{}x"}}"#, "*a".repeat(500));
    let long = arns.topic(&"a".repeat(256));
    one("hostile: 500 stars on 256 characters", &policy(&stars), Action::Publish, &long);
    group.finish();

    let request = Request::new(Action::Publish, &topic, &context);
    c.bench_function("explain the device policy", |b| b.iter(|| explain(black_box(&device), &request)));
}

criterion_group!(benches, evaluation);
criterion_main!(benches);
