//! `/debug/pprof/`: the profiles that Go's servers have, which `go tool pprof` reads.

#[cfg(target_os = "linux")]
mod cpu;
#[cfg(target_os = "linux")]
mod heap;
#[cfg(target_os = "linux")]
mod profile;
#[cfg(target_os = "linux")]
mod symbols;
mod tasks;

#[cfg(target_os = "linux")]
pub(super) use self::cpu::profile;
#[cfg(target_os = "linux")]
pub(super) use self::heap::heap;
pub(super) use self::tasks::goroutine;
use super::context::AdminContext;
use crate::http::{Call, Response, text};
use crate::tasks::{Limiter, Permit};
use hyper::StatusCode;
use hyper::header::{HeaderValue, RETRY_AFTER};
use std::sync::Arc;

pub(super) async fn index(context: Arc<AdminContext>, _: Call) -> Response {
    let tasks = context.tasks.alive();
    let profiles = format!(
        "goroutine  the {tasks} live tasks; ?debug=1 groups them, ?debug=2 lists them\n\
         heap       live memory by allocating call\n\
         profile    CPU use over 30 seconds, or ?seconds=N\n\n\
         go tool pprof http://HOST:PORT/debug/pprof/heap\n"
    );
    text(StatusCode::OK, profiles)
}

/// The program's name, which pprof shows.
pub(super) async fn cmdline(_: Arc<AdminContext>, _: Call) -> Response {
    // Without the arguments: one of them may be a token.
    text(StatusCode::OK, std::env::args().next().unwrap_or_default())
}

/// Tells pprof that it need not look up addresses: our profiles contain names.
pub(super) async fn symbol(_: Arc<AdminContext>, _: Call) -> Response {
    text(StatusCode::OK, "num_symbols: 0\n")
}

/// Whether a profile is asked for as text that flame graphs are drawn from.
fn wants_folded(call: &Call) -> bool {
    call.query("format") == Some("folded")
}

/// The permit to make a profile, or the answer that one is being made already.
fn only_one(profiles: &Limiter, what: &str) -> Result<Permit, Box<Response>> {
    profiles.try_acquire().ok_or_else(|| {
        let problem = format!("a profile of {what} is being made; try again when it is done\n");
        let mut busy = text(StatusCode::SERVICE_UNAVAILABLE, problem);
        busy.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        Box::new(busy)
    })
}
