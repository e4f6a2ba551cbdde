//! The peers of the race, each in its own natural use.

pub mod async_broadcast;
pub mod fanfare;
pub mod flume_per_subscriber;
pub mod go_broker;
pub mod tokio_broadcast;

use super::load::{Load, Outcome, Scenario};
use super::message::{Large, RaceMessage, Small};
use super::publishing::Course;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// A contender: does a load and says what came of it.
pub trait Peer {
    fn name(&self) -> &'static str;

    fn run(&self, load: &Load) -> Result<Outcome, PeerError>;

    /// Messages of warm-up until stuck subscribers are full, and have been waited for where the
    /// peer waits once only.
    fn warm_up(&self, scenario: &Scenario) -> u64 {
        let step = scenario.batch.max(super::ledger::PROGRESS_STEP as usize);
        (scenario.queue_messages.div_ceil(step) * step + step) as u64
    }

    /// The fewest messages worth a measurement while subscribers are stuck.
    fn fewest_when_stuck(&self) -> u64 {
        256
    }
}

/// A peer that is a Rust library, and so carries messages of any type.
pub trait Contender {
    const NAME: &'static str;

    fn race<M: RaceMessage>(load: &Load, course: &Arc<Course>) -> Outcome;
}

/// All peers in this process, in the order of the table: Fanfare first, then tokio's broadcast.
pub fn in_process() -> Vec<Box<dyn Peer>> {
    vec![
        Box::new(InProcess::<fanfare::Fanfare>(PhantomData)),
        Box::new(InProcess::<tokio_broadcast::TokioBroadcast>(PhantomData)),
        Box::new(InProcess::<async_broadcast::AsyncBroadcast>(PhantomData)),
        Box::new(InProcess::<flume_per_subscriber::FlumePerSubscriber>(PhantomData)),
    ]
}

pub struct InProcess<C>(pub PhantomData<C>);

impl<C: Contender> Peer for InProcess<C> {
    fn name(&self) -> &'static str {
        C::NAME
    }

    fn run(&self, load: &Load) -> Result<Outcome, PeerError> {
        let course = Course::new(load);
        match load.scenario.payload_bytes {
            Small::BYTES => Ok(C::race::<Small>(load, &course)),
            Large::BYTES => Ok(C::race::<Large>(load, &course)),
            other => Err(PeerError(format!(
                "no message of {other} bytes: there are those of {} and {}",
                Small::BYTES,
                Large::BYTES
            ))),
        }
    }
}

/// Why a peer could not run, in a sentence.
#[derive(Debug)]
pub struct PeerError(pub String);

impl fmt::Display for PeerError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for PeerError {}
