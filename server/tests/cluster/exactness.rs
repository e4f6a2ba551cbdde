//! Three servers on a cluster of three hubs, message by message: a small form of
//! `tests/load/cluster.py`.

use crate::FANFARE;
use std::path::Path;
use std::sync::atomic::{AtomicU16, Ordering};
use testkit::tools::program;

crate::with_hubs!(
    without_trouble_nothing_is_lost,
    subscribers_are_told_when_messages_die_with_a_hub
);

fn without_trouble_nothing_is_lost(hub: &Path) {
    play(hub, &["--messages", "3000"]);
}

fn subscribers_are_told_when_messages_die_with_a_hub(hub: &Path) {
    play(hub, &["--messages", "20000", "--kill-every", "0.5"]);
}

fn play(hub: &Path, flags: &[&str]) {
    let Some(mut python) = program("python3") else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/load/cluster.py");
    // The tests run side by side, so each has ports of its own.
    static NEXT_PORTS: AtomicU16 = AtomicU16::new(25_000);
    let ports = NEXT_PORTS.fetch_add(100, Ordering::Relaxed).to_string();
    python.arg(script).arg(FANFARE).arg(hub).args(flags).args(["--ports", &ports]);
    let output = python.output().unwrap();
    assert!(output.status.success(), "{output:?}");
}
