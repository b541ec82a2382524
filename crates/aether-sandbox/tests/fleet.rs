//! A small fleet at once: what `benches/load` does with a thousand, without a clock.

mod support;

use std::sync::Arc;

use tokio::task::JoinSet;

const DEVICES: usize = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_devices_provision_at_once_publish_and_stay_connected() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = Arc::new(support::start(dir.path()).await);
    let mut watcher = support::observer(&sandbox, "#").await;

    let mut provisioning = JoinSet::new();
    for number in 0..DEVICES {
        let sandbox = Arc::clone(&sandbox);
        provisioning.spawn(async move {
            let device = support::provision(&sandbox, &number.to_string()).await;
            let client = support::device(&sandbox, &device).await;
            client.publish(&device.thing, b"first").await.unwrap();
            (device, client)
        });
    }
    let fleet = provisioning.join_all().await;
    assert_eq!(sandbox.things().len(), DEVICES);
    // Its own claim and observer certificate come on top.
    assert_eq!(sandbox.certificates().len(), DEVICES + 2);

    // Connected all along: each publishes again on the connection it has.
    for (device, client) in &fleet {
        client.publish(&device.thing, b"second").await.unwrap();
    }
    let mut heard = std::collections::BTreeMap::<String, Vec<Vec<u8>>>::new();
    for _ in 0..2 * DEVICES {
        let message = support::next(&mut watcher).await;
        heard.entry(message.topic).or_default().push(message.payload);
    }
    for (device, _) in &fleet {
        assert_eq!(heard.remove(&device.thing).unwrap(), [b"first".to_vec(), b"second".to_vec()], "{}", device.thing);
    }
    assert!(heard.is_empty(), "{heard:?}");

    drop(fleet);
    Arc::into_inner(sandbox).unwrap().shutdown().await;
}
