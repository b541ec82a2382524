//! Every read and write makes one event; refused writes change nothing and make none.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};

use aether_sigil::{
    AnySigil, ChangeListener, Definition, Door, EventSink, Operation, Origin, ReadError, Sample, Sigil, SigilEvent,
    SigilSet, StatusCode, Timestamp, Value, ValueType, WriteError,
};

#[derive(Debug, Default)]
struct Recorder {
    events: Mutex<Vec<SigilEvent>>,
    samples: Mutex<Vec<Sample>>,
}

impl EventSink for Recorder {
    fn accept(&self, event: SigilEvent) {
        self.events.lock().unwrap().push(event);
    }
}

impl ChangeListener for Recorder {
    fn changed(&self, _sigil: &Definition, sample: &Sample) {
        self.samples.lock().unwrap().push(sample.clone());
    }
}

fn recorded<T>(sigil: &Sigil<T>) -> Arc<Recorder>
where
    T: aether_sigil::SigilType,
{
    let recorder = Arc::new(Recorder::default());
    sigil.any().attach_sink(recorder.clone()).unwrap();
    sigil.any().attach_listener(recorder.clone()).unwrap();
    recorder
}

fn temperature() -> Sigil<f64> {
    Sigil::builder("ns=2;s=Plant.Temperature", 25.0)
        .description("Process temperature value.")
        .minimum_value(-40.0)
        .maximum_value(120.0)
        .build()
        .unwrap()
}

#[tokio::test]
async fn a_read_and_a_write_make_one_event_each_in_order() {
    let sigil = temperature();
    let recorder = recorded(&sigil);
    assert_eq!(sigil.read().await, Ok(25.0));
    sigil.write(31.5).await.unwrap();

    let events = recorder.events.lock().unwrap();
    let seen: Vec<_> = events.iter().map(|e| (e.operation, e.value.clone(), e.origin.door())).collect();
    assert_eq!(
        seen,
        [(Operation::Read, Value::Double(25.0), Door::Code), (Operation::Write, Value::Double(31.5), Door::Code)]
    );
    assert_eq!(recorder.samples.lock().unwrap().len(), 1, "a read changes nothing");
}

#[tokio::test]
async fn the_json_has_exactly_the_five_fields_of_the_specification() {
    let sigil = temperature();
    let recorder = recorded(&sigil);
    sigil.read().await.unwrap();
    let json = recorder.events.lock().unwrap()[0].to_json();
    let parsed: serde_json::Value = serde_json::from_str(&json).unwrap();
    let object = parsed.as_object().unwrap();
    let mut keys: Vec<_> = object.keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["node_id", "operation", "sigil_id", "timestamp", "value"]);
    assert_eq!(object["sigil_id"], "Plant.Temperature");
    assert_eq!(object["node_id"], "ns=2;s=Plant.Temperature");
    assert_eq!(object["value"], 25.0);
    assert_eq!(object["operation"], "read");
    let timestamp = object["timestamp"].as_str().unwrap();
    assert_eq!(timestamp.parse::<Timestamp>().unwrap().to_string(), timestamp, "RFC 3339, UTC, microseconds");
}

#[tokio::test]
async fn a_refused_write_names_the_rule_and_changes_nothing() {
    let sigil = temperature();
    let recorder = recorded(&sigil);
    let refused = [
        (Value::Double(200.0), StatusCode::BAD_OUT_OF_RANGE),
        (Value::Double(f64::NAN), StatusCode::BAD_OUT_OF_RANGE),
        (Value::Int32(30), StatusCode::BAD_TYPE_MISMATCH),
        (Value::Float(30.0), StatusCode::BAD_TYPE_MISMATCH),
    ];
    for (value, status) in refused {
        let error = sigil.any().write_from(value, None, &Origin::CODE).unwrap_err();
        assert_eq!(error.status_code(), status, "{error}");
    }
    assert_eq!(sigil.any().sample().value, Value::Double(25.0));
    assert!(recorder.events.lock().unwrap().is_empty());
    assert!(recorder.samples.lock().unwrap().is_empty());
    let error = sigil.write(200.0).await.unwrap_err();
    assert_eq!(error.to_string(), "sigil `Plant.Temperature` does not take 200.0: allowed is -40.0 to 120.0");
}

#[tokio::test]
async fn a_sigil_that_is_not_writable_stops_outsiders_and_not_the_program() {
    let sigil = Sigil::builder("ns=2;s=State", 1_i32).writable(false).build().unwrap();
    let outside = sigil.any().write_from(Value::Int32(2), None, &Origin::opc_ua(None));
    assert!(matches!(outside, Err(WriteError::NotWritable { .. })));
    sigil.write(3).await.unwrap();
    assert_eq!(sigil.read().await, Ok(3));
}

#[tokio::test]
async fn a_bad_value_is_an_error_for_code_and_a_change_for_subscribers() {
    let sigil = temperature();
    let recorder = recorded(&sigil);
    sigil.any().set_status(StatusCode::BAD_NO_COMMUNICATION);
    sigil.any().set_status(StatusCode::BAD_NO_COMMUNICATION);
    assert!(matches!(sigil.read().await, Err(ReadError::Bad { status: StatusCode::BAD_NO_COMMUNICATION, .. })));
    assert_eq!(recorder.samples.lock().unwrap().len(), 1, "the same status twice is one change");
    sigil.write(20.0).await.unwrap();
    assert_eq!(sigil.read().await, Ok(20.0), "a write makes it good again");
}

#[test]
fn a_source_timestamp_in_the_future_is_replaced_by_now() {
    let sigil = temperature();
    let past = Timestamp::from_unix_micros(1_000_000);
    sigil.any().write_from(Value::Double(1.0), Some(past), &Origin::CODE).unwrap();
    assert_eq!(sigil.any().sample().source_timestamp, past);
    let future = Timestamp::from_unix_micros(Timestamp::now().unix_micros() + 3_600_000_000);
    sigil.any().write_from(Value::Double(2.0), Some(future), &Origin::CODE).unwrap();
    assert!(sigil.any().sample().source_timestamp <= Timestamp::now());
}

#[test]
fn settings_that_contradict_each_other_are_refused_with_their_names() {
    #[track_caller]
    fn check(built: Result<AnySigil, aether_sigil::BuildError>, parts: &[&str]) {
        let error = built.unwrap_err();
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            text += &format!(": {cause}");
            source = cause.source();
        }
        for part in parts {
            assert!(text.contains(part), "`{text}` lacks `{part}`");
        }
    }
    let any = |value| AnySigil::builder("ns=2;s=A", value);
    check(AnySigil::builder("A", Value::Byte(1)).build(), &["node_id", "`A`", "ns=2;s="]);
    check(any(Value::Byte(1)).minimum_value(Value::Double(1.0)).build(), &["minimum_value", "Double", "Byte"]);
    check(any(Value::Boolean(true)).maximum_value(Value::Boolean(true)).build(), &["maximum_value", "Boolean"]);
    let double = any(Value::Double(1.0));
    check(double.clone().minimum_value(Value::Double(f64::NAN)).build(), &["minimum_value", "NaN"]);
    let none_left = double.minimum_value(Value::Double(2.0)).maximum_value(Value::Double(0.5));
    check(none_left.build(), &["minimum_value", "maximum_value", "2.0 is above 0.5"]);
    check(any(Value::Byte(9)).maximum_value(Value::Byte(5)).build(), &["initial_value", "9", "5"]);
}

#[test]
fn a_set_finds_each_sigil_and_refuses_the_second_of_a_kind() {
    let sigil = |id: &str| AnySigil::builder(id, Value::Double(0.0)).build().unwrap();
    let set = SigilSet::new([sigil("ns=2;s=A"), sigil("ns=2;s=B")]).unwrap();
    assert_eq!(set.by_id("B").unwrap().definition().node_id_text(), "ns=2;s=B");
    assert_eq!(set.by_node_id(&"ns=2;s=A".parse().unwrap()).unwrap().id().as_str(), "A");
    assert!(set.by_id("C").is_none());
    let error = SigilSet::new([sigil("ns=2;s=A"), sigil("ns=3;s=A")]).unwrap_err().to_string();
    assert!(error.contains("ns=2;s=A") && error.contains("ns=3;s=A"), "{error}");
}

#[test]
fn a_sigil_belongs_to_one_runtime() {
    let sigil = temperature();
    recorded(&sigil);
    assert!(sigil.any().attach_sink(Arc::new(Recorder::default())).is_err());
}

#[test]
fn a_typed_sigil_knows_its_type() {
    let text = Sigil::builder("ns=2;s=Name", "press".to_owned()).build().unwrap();
    assert_eq!(text.any().definition().value_type(), ValueType::String);
}
