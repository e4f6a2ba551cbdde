//! The version, commit and features of this program.

/// The version of the package.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit, of releases that were built in a checkout; otherwise `unknown`.
pub const COMMIT: &str = env!("FANFARE_COMMIT");

/// The executor that the binary runs on.
pub const RUNTIME: &str = if cfg!(feature = "smol") { "smol" } else { "async-std" };

/// All of it, as `--version` says it.
pub fn description() -> String {
    let allocator = if cfg!(target_os = "linux") { "jemalloc" } else { "the system's allocator" };
    format!("{VERSION} (commit {COMMIT}; {RUNTIME}, {allocator})")
}
