//! Promises 8 and 9, as far as the compiler and the manifest can tell; tests/executors.rs runs on
//! the executors.

use fanfare::{
    Batch, BatchDelivery, Broker, Delivery, EndReason, Message, Pattern, Publisher, Receipt,
    Subscription, SubscriptionWatch, Topic, WhenFull,
};
use std::time::Duration;
use testkit::broker::{pattern, topic};

fn is_send<T: Send>(value: T) -> T {
    value
}

fn send<T: Send>() {}
fn send_and_sync<T: Send + Sync>() {}
fn unpin<T: Unpin>() {}

/// A payload that is neither `Clone` nor `Debug`.
struct Plain;
impl fanfare::Payload for Plain {}

#[test]
fn every_future_can_move_between_threads() {
    let broker = Broker::<Plain>::new();
    let (name, to) = (topic("t"), pattern("t"));
    let mut publisher = broker.publisher();
    let mut subscription = broker.subscribe(&to).unwrap();
    let mut batch = Vec::new();
    drop(is_send(publisher.publish(&name, Plain)));
    drop(is_send(publisher.publish_request(&name, &name, Plain)));
    drop(is_send(publisher.publish_batch(&name, &mut batch)));
    drop(is_send(subscription.recv()));
    drop(is_send(subscription.recv_batch()));
    drop(is_send(broker.request(&name, Plain, Duration::ZERO)));
    drop(is_send(broker.drain(Duration::ZERO)));
}

#[test]
fn every_handle_can_move_between_threads() {
    send::<Publisher<Plain>>();
    send::<Subscription<Plain>>();
    unpin::<Subscription<Plain>>();
    unpin::<Publisher<Plain>>();
    send_and_sync::<Broker<Plain>>();
    send_and_sync::<Message<Plain>>();
    send_and_sync::<Batch<Plain>>();
    send_and_sync::<Delivery<Plain>>();
    send_and_sync::<BatchDelivery<Plain>>();
    send_and_sync::<SubscriptionWatch<Plain>>();
    send_and_sync::<(Topic, Pattern, Receipt, WhenFull, EndReason)>();
}

fn manifest_and_sources() -> (String, Vec<(std::path::PathBuf, String)>) {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let mut folders = vec![root.join("src")];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                sources.push((path, text));
            }
        }
    }
    assert!(sources.len() > 5, "the sources are there");
    (manifest, sources)
}

#[test]
fn no_unsafe_of_our_own() {
    let (manifest, _) = manifest_and_sources();
    let lints = manifest.split("[workspace.lints.rust]").nth(1).expect("the workspace's lints");
    let lints = lints.split("\n[").next().unwrap();
    assert!(lints.lines().any(|line| line.trim() == "unsafe_code = \"forbid\""), "{lints}");
    assert!(manifest.contains("[lints]\nworkspace = true"), "the package follows them");
}

#[test]
fn only_main_names_a_runtime() {
    for (path, text) in manifest_and_sources().1 {
        if path.ends_with("src/main.rs") {
            continue;
        }
        for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
            for runtime in ["async_std::", "tokio::", "smol::"] {
                assert!(!line.contains(runtime), "{}: {line}", path.display());
            }
        }
    }
}

#[test]
fn the_broker_imports_limits_alone() {
    for (path, text) in manifest_and_sources().1 {
        if !path.components().any(|part| part.as_os_str() == "broker") {
            continue;
        }
        for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
            for import in line.match_indices("crate::").map(|(at, _)| &line[at + "crate::".len()..])
            {
                let allowed = import.starts_with("limits") || import.starts_with("broker");
                assert!(allowed, "{}: {line}", path.display());
            }
        }
    }
}
