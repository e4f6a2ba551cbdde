//! How many files the system lets this process open, and so how many connections it can have.

use crate::limits::RESERVED_FILE_DESCRIPTORS;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit on open files as far as it goes. Lowers each of `connections` that is more than
/// fits, and then says how many fit.
pub fn fit<const N: usize>(connections: [&mut usize; N]) -> Option<usize> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let allowed = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    // None means that there is no limit.
    let fit = usize::try_from(allowed?.saturating_sub(RESERVED_FILE_DESCRIPTORS))
        .unwrap_or(usize::MAX)
        .max(1);
    let mut lowered_to = None;
    for wanted in connections.into_iter().filter(|wanted| **wanted > fit) {
        *wanted = fit;
        lowered_to = Some(fit);
    }
    lowered_to
}
