//! `/debug/pprof/profile?seconds=N`: where the processor is, sampled by a signal.

use super::super::state::State;
use super::profile::{Frame, ProfileBuilder};
use super::turn;
use crate::http::{Call, Response, text};
use crate::limits::{CPU_PROFILE_HERTZ, CPU_PROFILE_SECONDS};
use async_io::Timer;
use hyper::StatusCode;
use pprof::{ProfilerGuardBuilder, Report};
use std::sync::Arc;
use std::time::Duration;

pub(in super::super) async fn profile(state: Arc<State>, call: Call) -> Response {
    let (default, most) = CPU_PROFILE_SECONDS;
    let seconds = match call.number("seconds", default) {
        Ok(seconds) if (1..=most).contains(&seconds) => seconds as u64,
        Ok(_) => {
            return text(StatusCode::BAD_REQUEST, format!("seconds has to be from 1 to {most}\n"));
        }
        Err(error) => return error.response(),
    };
    let turn = match turn(&state.cpu_profile, "the processor") {
        Ok(turn) => turn,
        Err(busy) => return *busy,
    };
    // Within these libraries a thread may hold a lock that taking a stack needs; they are not
    // looked into.
    let sampling = ProfilerGuardBuilder::default()
        .frequency(CPU_PROFILE_HERTZ)
        .blocklist(&["libc", "libgcc", "pthread", "vdso"])
        .build();
    let guard = match sampling {
        Ok(guard) => guard,
        Err(error) => {
            return text(
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("sampling cannot begin: {error}\n"),
            );
        }
    };
    // Sampling ends with the guard: also if the client leaves before the time is over.
    let duration = Duration::from_secs(seconds);
    // why: one for each profile, of which there is one at a time.
    Timer::after(duration).await;
    blocking::unblock(move || {
        let response = match guard.report().build() {
            Ok(report) => encode(&report, duration).respond(),
            Err(error) => {
                text(StatusCode::INTERNAL_SERVER_ERROR, format!("there is no profile: {error}\n"))
            }
        };
        drop(guard);
        // The names were looked up by the library, in the same way as by `Symbols`.
        backtrace::clear_symbol_cache();
        drop(turn);
        response
    })
    .await
}

fn encode(report: &Report, duration: Duration) -> ProfileBuilder {
    let period_ns = 1_000_000_000 / i64::from(CPU_PROFILE_HERTZ);
    let mut builder = ProfileBuilder::new(&[("samples", "count"), ("cpu", "nanoseconds")]);
    builder.sampled(duration, ("cpu", "nanoseconds"), period_ns);
    for (stack, count) in &report.data {
        let frames: Vec<Frame<'_>> = stack
            .frames
            .iter()
            .flatten()
            .map(|symbol| Frame {
                function: symbol.name().into(),
                file: symbol.filename().into_owned().into(),
                line: symbol.lineno(),
            })
            .collect();
        let count = *count as i64;
        builder.sample(
            &frames,
            &[count, count * period_ns],
            &[("thread", &stack.thread_name_or_id())],
        );
    }
    builder
}
