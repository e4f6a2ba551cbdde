//! `/debug/pprof/`: profiles as Go's servers have them, so that `go tool pprof` reads them.

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
use super::listing::page;
use super::state::{OneAtATime, State, Turn};
use crate::http::{Call, Response, html, text};
use hyper::StatusCode;
use hyper::header::{HeaderValue, RETRY_AFTER};
use std::sync::Arc;

pub(super) async fn index(state: Arc<State>, _: Call) -> Response {
    let tasks = state.tasks.alive();
    let body = format!(
        "<ul>\n\
         <li><a href=\"goroutine?debug=1\">goroutine</a> the {tasks} tasks alive, grouped by who started them \
         (<a href=\"goroutine?debug=2\">one by one</a>)</li>\n\
         <li>heap: live memory by who asked for it</li>\n\
         <li>profile: where the processor is, for 30 seconds (<code>?seconds=N</code>)</li>\n\
         </ul>\n\
         <p><code>go tool pprof http://HOST:PORT/debug/pprof/heap</code>, or profile, or goroutine</p>\n"
    );
    html(StatusCode::OK, page("Profiles", &body))
}

/// How the program was started, as pprof shows it.
pub(super) async fn cmdline(_: Arc<State>, _: Call) -> Response {
    // Without its arguments: one of them may be a token.
    text(StatusCode::OK, std::env::args().next().unwrap_or_default())
}

/// Whether addresses can be looked up. They need not be: our profiles have names.
pub(super) async fn symbol(_: Arc<State>, _: Call) -> Response {
    text(StatusCode::OK, "num_symbols: 0\n")
}

/// The right to make a profile, or the answer that one is being made.
fn turn(one_at_a_time: &OneAtATime, what: &str) -> Result<Turn, Box<Response>> {
    one_at_a_time.begin().ok_or_else(|| {
        let problem = format!("a profile of {what} is being made; try again when it is done\n");
        let mut busy = text(StatusCode::SERVICE_UNAVAILABLE, problem);
        busy.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        Box::new(busy)
    })
}
