//! `/debug/pprof/heap`: live memory by allocating call, from jemalloc's samples.

use super::super::Page;
use super::super::context::AdminContext;
use super::profile::{Frame, ProfileBuilder};
use super::symbols::Symbols;
use super::{only_one, wants_folded};
use crate::http::{Call, Response, text};
use crate::tasks::Permit;
use hyper::StatusCode;
use jemalloc_pprof::{PROF_CTL, StackProfile};
use std::rc::Rc;
use std::sync::Arc;

pub(in super::super) async fn heap(context: Arc<AdminContext>, call: Call) -> Page {
    let is_folded = wants_folded(&call);
    let permit = only_one(&context.heap_profile, "memory")?;
    // On another thread: looking up names in the program's file takes a moment.
    Ok(blocking::unblock(move || make(permit, is_folded)).await)
}

/// Holds the permit until it is done, even if the client has left.
fn make(_permit: Permit, is_folded: bool) -> Response {
    let Some(control) = PROF_CTL.as_ref() else {
        let problem = "the allocator was built without profiling: see .cargo/config.toml\n";
        return text(StatusCode::NOT_IMPLEMENTED, problem);
    };
    let mut control = control.blocking_lock();
    let period_bytes = 1 << control.lg_sample();
    match control.dump_profile() {
        Ok(stacks) => encode(&stacks, period_bytes).respond(is_folded),
        Err(error) => {
            text(StatusCode::INTERNAL_SERVER_ERROR, format!("jemalloc has no profile: {error}\n"))
        }
    }
}

fn encode(stacks: &StackProfile, period_bytes: i64) -> ProfileBuilder {
    let mut builder = ProfileBuilder::new(&[("inuse_space", "bytes")]);
    builder.sampled(Default::default(), ("space", "bytes"), period_bytes);
    let mut symbols = Symbols::default();
    for (stack, _) in stacks.iter() {
        // They are outermost first.
        let frames: Vec<Rc<[Frame<'static>]>> =
            stack.addrs.iter().rev().map(|address| symbols.frames(*address)).collect();
        let frames = frames
            .iter()
            .flat_map(|frames| frames.iter())
            .skip_while(|frame| is_of_the_allocator(frame));
        builder.sample(frames, &[stack.weight as i64], &[]);
    }
    builder
}

/// Whether a frame belongs to the allocator. Every stack ends in such frames, and nobody wants to
/// see them.
fn is_of_the_allocator(frame: &Frame<'_>) -> bool {
    // A packaged binary does not say which file a function is from, but only the allocator is in C.
    let is_c = frame.file.is_empty() && !frame.function.contains("::");
    is_c || frame.file.contains("jemalloc")
        || frame.function.starts_with("alloc::alloc::")
        || frame.function.contains("alloc::alloc::Global")
        || frame.function.contains("jemalloc")
        || frame.function.starts_with("_rjem_")
        || frame.function.starts_with("__rust_")
        || frame.function.starts_with("__rustc::")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_allocators_own_functions_are_known_also_without_their_files() {
        let is = |function: &'static str, file: &'static str| {
            is_of_the_allocator(&Frame { function: function.into(), file: file.into(), line: 0 })
        };
        assert!(is("prof_backtrace_impl", "") && is("do_rallocx", "") && is("__rust_alloc", ""));
        assert!(is("prof_backtrace_impl", "jemalloc/src/prof_sys.c"));
        assert!(!is("write_log", "server/examples/finding_leaks.rs"));
        assert!(!is("finding_leaks::Service::write_log", ""));
    }
}
