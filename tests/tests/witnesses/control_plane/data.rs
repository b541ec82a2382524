//! The data plane, and what the sandbox says of itself.

use serde_json::json;

use super::{assert_refused, sorted, start};
use crate::support::{SOON, subscribe, wait_for_event};

#[test]
fn the_data_plane_publishes_and_keeps_retained_messages() {
    let (_folder, sandbox, mut aws) = start();
    let observer = subscribe(&sandbox);
    let message = r#"{"setpoint": 31.5}"#;
    aws.iot_data("publish", json!({"topic": "press/1", "qos": 1, "payload": message}));
    let seen = wait_for_event(&observer, "what was published", |event| event.topic == "press/1");
    assert_eq!(seen.json, json!({"setpoint": 31.5}));

    aws.iot_data("publish", json!({"topic": "press/2", "qos": 1, "retain": true, "payload": message}));
    let kept = aws.iot_data("list_retained_messages", json!({}));
    assert_eq!(sorted(&kept["retainedTopics"], "topic"), ["press/2"]);
    let kept = aws.iot_data("get_retained_message", json!({"topic": "press/2"}));
    assert_eq!((&kept["payload"], &kept["qos"]), (&message.into(), &1.into()));
    // A topic takes one retained message a second.
    sandbox.program().wait_until("the second retained message", SOON, || {
        let answer = aws.call("iot-data", "publish", json!({"topic": "press/2", "retain": true, "payload": ""}));
        if let Err(refusal) = &answer {
            assert_eq!((refusal.code.as_str(), refusal.status), ("ThrottlingException", 429));
        }
        answer.ok()
    });
    let gone = aws.call("iot-data", "get_retained_message", json!({"topic": "press/2"})).unwrap_err();
    assert_eq!((gone.code.as_str(), gone.status), ("ResourceNotFoundException", 404));
}

#[test]
fn what_the_sandbox_does_not_have_is_refused_by_name() {
    let (_folder, _sandbox, mut aws) = start();
    let refused = aws.call("iot", "list_jobs", json!({})).unwrap_err();
    assert!(refused.status >= 400 && !refused.code.is_empty(), "{refused:?}");
    let endpoint = aws.iot("describe_endpoint", json!({"endpointType": "iot:Data-ATS"}));
    assert_eq!(endpoint["endpointAddress"], "localhost");
    let unknown = aws.refused("describe_endpoint", json!({"endpointType": "iot:Unknown"}));
    assert_refused(unknown, "InvalidRequestException", 400);
}
