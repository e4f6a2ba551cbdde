//! Measures memory. The test binary must install `stats_alloc::INSTRUMENTED_SYSTEM` as its
//! allocator. It counts everything in the process, so the tests take turns.

use stats_alloc::INSTRUMENTED_SYSTEM;
use std::sync::{Mutex, MutexGuard};

static TURN: Mutex<()> = Mutex::new(());

/// Held by the one test that measures, so that no other allocates meanwhile.
pub fn my_turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Bytes alive now.
pub fn live() -> isize {
    let stats = INSTRUMENTED_SYSTEM.stats();
    stats.bytes_allocated as isize - stats.bytes_deallocated as isize
}

pub fn allocations() -> usize {
    let stats = INSTRUMENTED_SYSTEM.stats();
    stats.allocations + stats.reallocations
}

/// Allowance for the test harness and for tables that grow in steps; far less than one byte for
/// each repetition.
pub const NOTHING: isize = 16 << 10;

/// Checks that `work` leaves no more bytes alive than before. The harness allocates a little in
/// other threads now and then, so the smallest of a few runs counts.
#[track_caller]
pub fn assert_costs_nothing(mut work: impl FnMut()) {
    let growth = |_| {
        let before = live();
        work();
        live() - before
    };
    let grown = (0..3).map(growth).min().unwrap();
    assert!(grown < NOTHING, "{grown} bytes");
}

/// The first run may fill tables that stay.
#[track_caller]
pub fn assert_costs_nothing_again(mut work: impl FnMut()) {
    work();
    assert_costs_nothing(work);
}
