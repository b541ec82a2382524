//! Subscriptions: every change, in order, once, and nothing left behind.

use std::time::Duration;

use aether_sigil::{Origin, Sigil, StatusCode as SigilStatus, Value};
use opcua::types::{
    AttributeId, DataChangeFilter, DataChangeTrigger, DateTime, DeadbandType, ExtensionObject,
    MonitoredItemCreateRequest, MonitoredItemModifyRequest, MonitoringMode, MonitoringParameters, NumericRange,
    ReadValueId, StatusCode, TimestampsToReturn, Variant,
};

use crate::support::{Client, PATIENCE, Received, TEMPERATURE, eventually, node, plant, plant_with};

#[tokio::test]
async fn a_hundred_changes_five_milliseconds_apart_all_arrive_in_order() {
    let plant = plant();
    let (server, url) = plant.serve().await;
    let (writer, reader) = (Client::connect(&url).await, Client::connect(&url).await);
    let subscribed = reader.subscribe(TEMPERATURE, ExtensionObject::null()).await;
    let mut every = tokio::time::interval(Duration::from_millis(5));
    for n in 0..100 {
        every.tick().await;
        assert_eq!(writer.write(TEMPERATURE, f64::from(n)).await, StatusCode::Good);
    }
    eventually("the last change", || subscribed.received.numbers().last() == Some(&99.0)).await;
    let expected: Vec<f64> = std::iter::once(25.0).chain((0..100).map(f64::from)).collect();
    assert_eq!(subscribed.received.numbers(), expected);
    server.stop(PATIENCE).await;
}

#[tokio::test]
async fn whatever_sampling_interval_was_asked_for_no_change_of_a_burst_is_held_back() {
    let plant = plant();
    let (server, url) = plant.serve().await;
    let client = Client::connect(&url).await;
    let mut pace = tokio::time::interval(Duration::from_millis(4));
    for interval in [-1.0, 0.0, 20.0, 50.0, 100.0, 10_000.0] {
        let received = Received::default();
        let subscription = client.subscription(&received).await;
        let null = ExtensionObject::null();
        let monitored =
            client.monitor_every(interval, subscription, TEMPERATURE, MonitoringMode::Reporting, null).await;
        assert_eq!(monitored.1, StatusCode::Good);
        for round in 0..5 {
            eventually("the value at rest", || received.numbers().last() == Some(&25.0)).await;
            let base = f64::from(round) * 10.0;
            for value in [base + 1.0, base + 2.0, base + 3.0] {
                plant.temperature.write(value).await.unwrap();
                pace.tick().await;
            }
            eventually("the last of a burst", || received.numbers().last() == Some(&(base + 3.0))).await;
            plant.temperature.write(25.0).await.unwrap();
        }
        eventually("the end", || received.numbers().last() == Some(&25.0)).await;
        // A negative interval asks for one value in each publishing interval; all others for every change.
        if interval >= 0.0 {
            let burst = |r: i32| [1.0, 2.0, 3.0].map(|n| f64::from(r) * 10.0 + n).into_iter().chain([25.0]);
            let expected: Vec<f64> = std::iter::once(25.0).chain((0..5).flat_map(burst)).collect();
            assert_eq!(received.numbers(), expected, "at {interval} ms");
        }
        client.session.delete_subscription(subscription).await.unwrap();
    }
    server.stop(PATIENCE).await;
}

#[tokio::test]
async fn an_interval_set_later_holds_values_back_and_never_the_last_one() {
    let plant = plant();
    let (server, url) = plant.serve().await;
    let client = Client::connect(&url).await;
    let received = Received::default();
    let subscription = client.subscription(&received).await;
    // The client tells its items apart by this handle, and a modification may change it.
    let parameters = |sampling_interval| MonitoringParameters {
        client_handle: 7,
        sampling_interval,
        queue_size: 100,
        discard_oldest: true,
        ..Default::default()
    };
    let asked = MonitoredItemCreateRequest::new(
        ReadValueId { node_id: node(TEMPERATURE), attribute_id: AttributeId::Value as u32, ..Default::default() },
        MonitoringMode::Reporting,
        parameters(0.0),
    );
    let both = TimestampsToReturn::Both;
    let created = client.session.create_monitored_items(subscription, both, vec![asked]).await.unwrap();
    let slower = MonitoredItemModifyRequest {
        monitored_item_id: created[0].result.monitored_item_id,
        requested_parameters: parameters(100.0),
    };
    client.session.modify_monitored_items(subscription, both, &[slower]).await.unwrap();
    let mut pace = tokio::time::interval(Duration::from_millis(4));
    for round in 0..5 {
        for n in [1.0, 2.0, 3.0] {
            plant.temperature.write(f64::from(round) * 10.0 + n).await.unwrap();
            pace.tick().await;
        }
        let last = f64::from(round) * 10.0 + 3.0;
        eventually("the last of a burst", || received.numbers().last() == Some(&last)).await;
    }
    assert!(received.numbers().len() < 16, "some were held back: {:?}", received.numbers());
    server.stop(PATIENCE).await;
}

#[tokio::test]
async fn changes_made_by_code_arrive_without_events_of_their_own() {
    let plant = plant();
    let (server, url) = plant.serve().await;
    let client = Client::connect(&url).await;
    let subscribed = client.subscribe(TEMPERATURE, ExtensionObject::null()).await;
    eventually("the first value", || subscribed.received.numbers() == [25.0]).await;
    assert_eq!(plant.events.take(), [], "to subscribe is not to read");
    for value in [1.0, 2.0, 3.0] {
        plant.temperature.write(value).await.unwrap();
    }
    eventually("three changes", || subscribed.received.numbers() == [25.0, 1.0, 2.0, 3.0]).await;
    assert_eq!(plant.events.take().len(), 3, "one for each write");
    let sample = plant.temperature.any().sample();
    let told = subscribed.received.all().last().unwrap().source_timestamp.unwrap();
    assert_eq!(told.ticks() / 10 - 11_644_473_600_000_000, sample.source_timestamp.unix_micros());
    server.stop(PATIENCE).await;
}

#[tokio::test]
async fn a_change_of_the_status_alone_arrives() {
    let plant = plant();
    let (server, url) = plant.serve().await;
    let client = Client::connect(&url).await;
    let subscribed = client.subscribe(TEMPERATURE, ExtensionObject::null()).await;
    let last = || subscribed.received.all().last().map(|v| (v.value.clone(), v.status.unwrap_or_default()));
    let number = |v: f64| Some(Variant::Double(v));
    eventually("the first value", || last() == Some((number(25.0), StatusCode::Good))).await;
    let sigil = plant.temperature.any();
    sigil.set_status(SigilStatus::UNCERTAIN);
    eventually("uncertain", || last() == Some((number(25.0), StatusCode::Uncertain))).await;
    sigil.set_status(SigilStatus::GOOD);
    eventually("good", || last() == Some((number(25.0), StatusCode::Good))).await;
    sigil.set_status(SigilStatus::BAD_NO_COMMUNICATION);
    let bad = || {
        last().is_some_and(|(value, status)| {
            !matches!(value, Some(Variant::Double(_))) && status == StatusCode::BadNoCommunication
        })
    };
    eventually("bad", bad).await;
    sigil.write_from(Value::Double(25.0), None, &Origin::CODE).unwrap();
    eventually("good again", || last() == Some((number(25.0), StatusCode::Good))).await;
    server.stop(PATIENCE).await;
}

#[tokio::test]
async fn nobody_misses_a_change_that_happens_while_they_subscribe() {
    let plant = plant_with([Sigil::builder("ns=2;s=Fast", 0_i64).build().unwrap().into()]);
    let (server, url) = plant.serve().await;
    let client = Client::connect(&url).await;
    let fast = plant.sigils.by_id("Fast").unwrap().clone();
    for round in 0..20_i64 {
        let sigil = fast.clone();
        let first = round * 90;
        let writer = std::thread::spawn(move || {
            for n in first + 1..=first + 90 {
                sigil.write_from(Value::Int64(n), None, &Origin::CODE).unwrap();
                // Some rounds as fast as can be, some with a breath between two writes.
                if round % 2 == 0 {
                    std::thread::yield_now();
                }
            }
        });
        let subscribed = client.subscribe("ns=2;s=Fast", ExtensionObject::null()).await;
        writer.join().unwrap();
        let last = (first + 90) as f64;
        eventually("the last change", || subscribed.received.numbers().last() == Some(&last)).await;
        let got = subscribed.received.numbers();
        assert!(got.windows(2).all(|pair| pair[1] == pair[0] + 1.0), "in order, without gaps: {got:?}");
        client.session.delete_subscription(subscribed.subscription).await.unwrap();
    }
    server.stop(PATIENCE).await;
}

#[tokio::test]
async fn a_client_that_left_is_not_served_and_others_are() {
    let plant = plant();
    let (server, url) = plant.serve().await;
    let (leaving, staying) = (Client::connect(&url).await, Client::connect(&url).await);
    let gone = leaving.subscribe(TEMPERATURE, ExtensionObject::null()).await;
    let kept = staying.subscribe(TEMPERATURE, ExtensionObject::null()).await;
    eventually("first values", || kept.received.numbers() == [25.0] && gone.received.numbers() == [25.0]).await;
    leaving.session.delete_subscription(gone.subscription).await.unwrap();
    plant.temperature.write(1.0).await.unwrap();
    eventually("the change", || kept.received.numbers() == [25.0, 1.0]).await;
    leaving.session.disconnect().await.unwrap();
    plant.temperature.write(2.0).await.unwrap();
    eventually("the change", || kept.received.numbers() == [25.0, 1.0, 2.0]).await;
    assert_eq!(gone.received.numbers(), [25.0]);
    server.stop(PATIENCE).await;
}

#[tokio::test]
async fn an_item_switched_on_again_tells_the_present_value() {
    let plant = plant();
    let (server, url) = plant.serve().await;
    let client = Client::connect(&url).await;
    let received = Received::default();
    let subscription = client.subscription(&received).await;
    let off = MonitoringMode::Disabled;
    let (item, _) = client.monitor(subscription, TEMPERATURE, off, ExtensionObject::null()).await;
    plant.temperature.write(1.0).await.unwrap();
    let on = client.session.set_monitoring_mode(subscription, MonitoringMode::Reporting, &[item]).await.unwrap();
    assert_eq!(on, [StatusCode::Good]);
    eventually("the present value", || received.numbers() == [1.0]).await;
    server.stop(PATIENCE).await;
}

#[tokio::test]
async fn a_percent_deadband_is_taken_from_the_bounds() {
    let plant = plant();
    let (server, url) = plant.serve().await;
    let client = Client::connect(&url).await;
    let percent = || {
        ExtensionObject::from_message(DataChangeFilter {
            trigger: DataChangeTrigger::StatusValue,
            deadband_type: DeadbandType::Percent as u32,
            deadband_value: 10.0,
        })
    };
    // The bounds are -50 and 150: ten percent are 20.
    let subscribed = client.subscribe(TEMPERATURE, percent()).await;
    for value in [40.0, 46.0, 60.0, 70.0, 20.0] {
        plant.temperature.write(value).await.unwrap();
    }
    eventually("what is outside", || subscribed.received.numbers() == [25.0, 46.0, 70.0, 20.0]).await;
    assert_eq!(plant.events.take().len(), 5, "the server's own look at the range makes no event");
    let received = Received::default();
    let subscription = client.subscription(&received).await;
    let without = client.monitor(subscription, "ns=2;s=Plant.Setpoint", MonitoringMode::Reporting, percent()).await;
    assert!(without.1.is_bad());
    server.stop(PATIENCE).await;
}

#[tokio::test]
async fn a_value_written_with_an_old_time_is_told_with_that_time() {
    let plant = plant();
    let (server, url) = plant.serve().await;
    let client = Client::connect(&url).await;
    let subscribed = client.subscribe(TEMPERATURE, ExtensionObject::null()).await;
    let past = DateTime::ymd(2020, 2, 29);
    client.write_value(TEMPERATURE, opcua::types::DataValue::new_at(1.0, past)).await;
    client.write(TEMPERATURE, 2.0).await;
    eventually("both", || subscribed.received.numbers() == [25.0, 1.0, 2.0]).await;
    assert_eq!(subscribed.received.all()[1].source_timestamp, Some(past));
    server.stop(PATIENCE).await;
}

#[tokio::test]
async fn what_cannot_be_monitored_is_refused() {
    let (server, url) = plant().serve().await;
    let client = Client::connect(&url).await;
    let received = Received::default();
    let subscription = client.subscription(&received).await;
    let none = ExtensionObject::null;
    let (_, unknown) = client.monitor(subscription, "ns=2;s=nobody", MonitoringMode::Reporting, none()).await;
    assert_eq!(unknown, StatusCode::BadNodeIdUnknown);
    let (_, object) = client.monitor(subscription, "ns=2;s=aether", MonitoringMode::Reporting, none()).await;
    assert_eq!(object, StatusCode::BadAttributeIdInvalid);
    let mut ranged = MonitoredItemCreateRequest::from(node("ns=2;i=7"));
    ranged.item_to_monitor.index_range = NumericRange::Index(0);
    let created =
        client.session.create_monitored_items(subscription, TimestampsToReturn::Both, vec![ranged]).await.unwrap();
    assert_eq!(created[0].result.status_code, StatusCode::BadIndexRangeNoData);
    server.stop(PATIENCE).await;
}
