//! JetStream of the hub through the link, with NATS's client for Python.

use crate::joined::Joined;
use std::path::Path;
use testkit::nats::hub::HubSettings;
use testkit::tools::python_with_clients;

crate::with_hubs!(streams_and_key_value_stores_of_the_hub_are_those_of_our_clients);

fn streams_and_key_value_stores_of_the_hub_are_those_of_our_clients(program: &Path) {
    let Some(mut python) = python_with_clients() else { return };
    let settings = HubSettings { jet_stream: true, ..HubSettings::default() };
    let joined = Joined::with(program, &settings, &[]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/python/jet_stream.py");
    let status = python.arg(script).arg(joined.fanfare.address.to_string()).status().unwrap();
    assert!(status.success());
}
