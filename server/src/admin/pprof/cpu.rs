//! `/debug/pprof/profile?seconds=N`: CPU use by function, sampled by a signal.

use super::super::Page;
use super::super::context::AdminContext;
use super::profile::{Frame, ProfileBuilder};
use super::{only_one, wants_folded};
use crate::http::{Call, text};
use crate::limits::{CPU_PROFILE_HERTZ, CPU_PROFILE_SECONDS};
use async_io::Timer;
use hyper::StatusCode;
use rpprof::{ProfilerGuardBuilder, Report};
use std::sync::Arc;
use std::time::Duration;

pub(in super::super) async fn profile(context: Arc<AdminContext>, call: Call) -> Page {
    let (default, most) = CPU_PROFILE_SECONDS;
    let seconds = call.number("seconds", default)?;
    if !(1..=most).contains(&seconds) {
        let problem = format!("seconds must be from 1 to {most}\n");
        return Ok(text(StatusCode::BAD_REQUEST, problem));
    }
    let is_folded = wants_folded(&call);
    let permit = only_one(&context.cpu_profile, "the processor")?;
    // Stacks are not taken inside these libraries, where a thread may hold a lock that taking one
    // needs.
    let sampling = ProfilerGuardBuilder::default()
        .frequency(CPU_PROFILE_HERTZ)
        .blocklist(&["libc", "libgcc", "pthread", "vdso"])
        .build();
    let guard = sampling.map_err(|error| {
        let problem = format!("sampling cannot start: {error}\n");
        text(StatusCode::INTERNAL_SERVER_ERROR, problem)
    })?;
    // Sampling ends with the guard, even if the client leaves early.
    let duration = Duration::from_secs(seconds as u64);
    // why: one for each profile, of which there is one at a time.
    Timer::after(duration).await;
    let made = blocking::unblock(move || {
        let response = match guard.report().build() {
            Ok(report) => encode(&report, duration).respond(is_folded),
            Err(error) => {
                text(StatusCode::INTERNAL_SERVER_ERROR, format!("there is no profile: {error}\n"))
            }
        };
        drop(guard);
        // The library looked up the names as `Symbols` does.
        backtrace::clear_symbol_cache();
        drop(permit);
        response
    });
    Ok(made.await)
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
