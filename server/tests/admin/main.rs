//! The HTTP server, and the admin listener on it.

mod http;
#[cfg(target_os = "linux")]
mod memory;
mod pages;
#[cfg(target_os = "linux")]
mod pprof;
mod prometheus;

/// The binary under test.
const FANFARE: &str = env!("CARGO_BIN_EXE_fanfare");

/// The server's allocator, which has heap profiles.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
