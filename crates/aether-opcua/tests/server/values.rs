//! Reading and writing values, and the events that tell of it.

use aether_sigil::{AnySigil, Operation, Timestamp, Value, ValueType};
use opcua::types::{
    AttributeId, ByteString, DataValue, DateTime, Guid, NumericRange, ReadValueId, StatusCode, TimestampsToReturn,
    Variant, WriteValue,
};

use crate::support::{Client, PATIENCE, TEMPERATURE, node, plant, plant_with};

#[tokio::test]
async fn a_read_brings_value_status_and_time_and_makes_one_event() {
    let plant = plant();
    let (server, url) = plant.serve().await;
    let client = Client::connect(&url).await;
    let read = client.read(TEMPERATURE).await;
    assert_eq!((read.value, read.status), (Some(Variant::Double(25.0)), Some(StatusCode::Good)));
    assert!(read.source_timestamp.is_some() && read.server_timestamp.is_some());
    let expected = (Operation::Read, "Plant.Temperature".to_owned(), Some("test client".to_owned()));
    assert_eq!(plant.events.take(), [expected]);
    server.stop(PATIENCE).await;
}

#[tokio::test]
async fn a_write_is_in_the_sigil_at_once_and_makes_one_event() {
    let plant = plant();
    let (server, url) = plant.serve().await;
    let client = Client::connect(&url).await;
    assert_eq!(client.write(TEMPERATURE, 31.5).await, StatusCode::Good);
    assert_eq!(plant.temperature.any().sample().value, Value::Double(31.5));
    let expected = (Operation::Write, "Plant.Temperature".to_owned(), Some("test client".to_owned()));
    assert_eq!(plant.events.take(), [expected]);
    server.stop(PATIENCE).await;
}

#[tokio::test]
async fn each_value_read_makes_one_event_and_nothing_else_makes_any() {
    let plant = plant();
    let (server, url) = plant.serve().await;
    let client = Client::connect(&url).await;
    for attribute in [AttributeId::DisplayName, AttributeId::DataType, AttributeId::UserAccessLevel] {
        client.read_attribute(TEMPERATURE, attribute).await;
    }
    client.read("ns=2;s=Plant.Temperature#EURange").await;
    client.read("ns=2;s=nobody").await;
    client.write("ns=2;i=7", "other").await;
    assert_eq!(plant.events.take(), []);

    let ids = [TEMPERATURE, "ns=2;i=7", TEMPERATURE];
    let asked: Vec<_> = ids.map(|id| ReadValueId::new_value(node(id))).into();
    client.session.read(&asked, TimestampsToReturn::Both, 0.0).await.unwrap();
    let seen: Vec<_> = plant.events.take().into_iter().map(|(_, id, _)| id).collect();
    assert_eq!(seen, ["Plant.Temperature", "7", "Plant.Temperature"]);
    server.stop(PATIENCE).await;
}

#[tokio::test]
async fn timestamps_come_as_they_were_asked_for() {
    let (server, url) = plant().serve().await;
    let client = Client::connect(&url).await;
    for (asked, source, server) in [
        (TimestampsToReturn::Source, true, false),
        (TimestampsToReturn::Server, false, true),
        (TimestampsToReturn::Both, true, true),
        (TimestampsToReturn::Neither, false, false),
    ] {
        let read = client.read_value_id(ReadValueId::new_value(node(TEMPERATURE)), asked).await;
        assert_eq!((read.source_timestamp.is_some(), read.server_timestamp.is_some()), (source, server), "{asked:?}");
    }
    server.stop(PATIENCE).await;
}

#[tokio::test]
async fn what_does_not_fit_is_refused_with_its_reason_and_changes_nothing() {
    let plant = plant();
    let (server, url) = plant.serve().await;
    let client = Client::connect(&url).await;
    let write = async |value: Variant| client.write(TEMPERATURE, value).await;
    for wrong in [
        Variant::Int32(3),
        Variant::Float(3.0),
        Variant::String("3".into()),
        Variant::from(vec![1.0, 2.0]),
        Variant::Empty,
    ] {
        assert_eq!(write(wrong.clone()).await, StatusCode::BadTypeMismatch, "{wrong:?}");
    }
    for outside in [-50.1, 150.1, f64::INFINITY, f64::NAN] {
        assert_eq!(write(Variant::Double(outside)).await, StatusCode::BadOutOfRange, "{outside}");
    }
    let bad = DataValue { status: Some(StatusCode::BadSensorFailure), ..DataValue::value_only(1.0) };
    assert_eq!(client.write_value(TEMPERATURE, bad).await, StatusCode::BadWriteNotSupported);
    assert_eq!(client.write("ns=2;i=7", "P3-00018").await, StatusCode::BadNotWritable);
    assert_eq!(client.write("ns=2;i=7", 1).await, StatusCode::BadNotWritable);
    assert_eq!(client.write("ns=2;s=Plant.Temperature#EURange", 1).await, StatusCode::BadNotWritable);
    assert_eq!(client.write("ns=2;s=aether", 1).await, StatusCode::BadAttributeIdInvalid);
    assert_eq!(client.write("ns=2;s=nobody", 1).await, StatusCode::BadNodeIdUnknown);

    let mut name = WriteValue { node_id: node(TEMPERATURE), value: DataValue::value_only(1), ..Default::default() };
    name.attribute_id = AttributeId::DisplayName as u32;
    let mut nothing = name.clone();
    nothing.attribute_id = AttributeId::Executable as u32;
    let refused = client.session.write(&[name, nothing]).await.unwrap();
    assert_eq!(refused, [StatusCode::BadNotWritable, StatusCode::BadAttributeIdInvalid]);

    assert_eq!(plant.temperature.any().sample().value, Value::Double(25.0));
    assert_eq!(plant.events.take(), []);
    server.stop(PATIENCE).await;
}

#[tokio::test]
async fn a_range_of_a_scalar_is_refused_even_where_it_would_cut_a_character() {
    let note = AnySigil::builder("ns=2;s=Note", Value::String("é".into())).build().unwrap();
    let plant = plant_with([note]);
    let (server, url) = plant.serve().await;
    let client = Client::connect(&url).await;
    for id in [TEMPERATURE, "ns=2;s=Note"] {
        let ranged = ReadValueId { index_range: NumericRange::Index(0), ..ReadValueId::new_value(node(id)) };
        let read = client.read_value_id(ranged, TimestampsToReturn::Both).await;
        assert_eq!(read.status, Some(StatusCode::BadIndexRangeNoData));
        let write = WriteValue {
            node_id: node(id),
            attribute_id: AttributeId::Value as u32,
            index_range: NumericRange::Range(0, 1),
            value: DataValue::value_only(1.0),
        };
        assert_eq!(client.session.write(&[write]).await.unwrap(), [StatusCode::BadIndexRangeNoData]);
    }
    assert_eq!(plant.events.take(), []);
    server.stop(PATIENCE).await;
}

#[tokio::test]
async fn a_source_timestamp_is_kept_and_one_ahead_of_time_is_not() {
    let plant = plant();
    let (server, url) = plant.serve().await;
    let client = Client::connect(&url).await;
    let past = DateTime::ymd_hms(2020, 2, 29, 12, 0, 0);
    assert_eq!(client.write_value(TEMPERATURE, DataValue::new_at(1.0, past)).await, StatusCode::Good);
    assert_eq!(client.read(TEMPERATURE).await.source_timestamp, Some(past));
    let ahead = DataValue::new_at(2.0, DateTime::ymd(2999, 1, 1));
    assert_eq!(client.write_value(TEMPERATURE, ahead).await, StatusCode::Good);
    assert!(plant.temperature.any().sample().source_timestamp <= Timestamp::now());
    server.stop(PATIENCE).await;
}

#[tokio::test]
async fn every_type_is_read_and_written() {
    let date = DateTime::ymd_hms_nano(2026, 11, 22, 9, 30, 0, 250_000);
    let guid: Guid = "72962b91-fa75-4ae6-8d28-b404dc7daf63".parse().unwrap();
    let pairs: Vec<(Value, Variant)> = vec![
        (Value::Boolean(false), Variant::Boolean(true)),
        (Value::SByte(0), Variant::SByte(-128)),
        (Value::Byte(0), Variant::Byte(255)),
        (Value::Int16(0), Variant::Int16(-32768)),
        (Value::UInt16(0), Variant::UInt16(65535)),
        (Value::Int32(0), Variant::Int32(i32::MIN)),
        (Value::UInt32(0), Variant::UInt32(u32::MAX)),
        (Value::Int64(0), Variant::Int64(i64::MIN)),
        (Value::UInt64(0), Variant::UInt64(u64::MAX)),
        (Value::Float(0.0), Variant::Float(-1.5)),
        (Value::Double(0.0), Variant::Double(1e300)),
        (Value::String("".into()), Variant::String("Grüße".into())),
        (Value::DateTime(Timestamp::now()), Variant::DateTime(Box::new(date))),
        (Value::Guid(aether_sigil::Guid::from_bytes([0; 16])), Variant::Guid(Box::new(guid))),
        (Value::ByteString([0].as_slice().into()), Variant::ByteString(ByteString::from(vec![0, 254, 255]))),
    ];
    assert_eq!(pairs.iter().map(|(value, _)| value.value_type()).collect::<Vec<_>>(), ValueType::ALL);
    let id = |value: &Value| format!("ns=2;s={}", value.value_type());
    let sigils = pairs.iter().map(|(value, _)| AnySigil::builder(&id(value), value.clone()).build().unwrap());
    let (server, url) = plant_with(sigils).serve().await;
    let client = Client::connect(&url).await;
    for (value, other) in &pairs {
        assert_eq!(client.write(&id(value), other.clone()).await, StatusCode::Good, "{other:?}");
        assert_eq!(client.read(&id(value)).await.value.as_ref(), Some(other));
    }
    server.stop(PATIENCE).await;
}

#[tokio::test]
async fn a_read_of_more_than_a_thousand_nodes_is_answered() {
    let (server, url) = plant().serve().await;
    let client = Client::connect(&url).await;
    let asked = vec![ReadValueId::new_value(node(TEMPERATURE)); 5000];
    let read = client.session.read(&asked, TimestampsToReturn::Both, 0.0).await.unwrap();
    assert_eq!(read.len(), 5000);
    assert!(read.iter().all(|value| value.value == Some(Variant::Double(25.0))));
    server.stop(PATIENCE).await;
}
