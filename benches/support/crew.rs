//! The tasks of one run on the shared executor: readers, publishers, and the wait for their end.

use super::executor::{Spawner, on_two_threads};
use super::ledger::Finish;
use super::load::{Load, Outcome, Scenario};
use super::publishing::{Course, PublisherReport};
use async_executor::Task;
use std::future::Future;
use std::sync::Arc;

/// Who reads and publishes in one run.
pub struct Crew {
    pub spawner: Spawner,
    load: Load,
    course: Arc<Course>,
    readers: Vec<Task<Finish>>,
    publishers: Vec<Task<PublisherReport>>,
}

/// One run: `race` gives the crew its tasks and awaits the [`Crew::outcome`].
pub fn race(load: &Load, course: &Arc<Course>, race: impl AsyncFnOnce(Crew) -> Outcome) -> Outcome {
    let (load, course) = (*load, Arc::clone(course));
    on_two_threads(async |spawner| {
        race(Crew { spawner, load, course, readers: Vec::new(), publishers: Vec::new() }).await
    })
}

impl Crew {
    pub fn scenario(&self) -> Scenario {
        self.load.scenario
    }

    /// A task for each that reads what it receives. Readers are numbered from 0 on.
    pub fn read<R, F>(
        &mut self,
        receivers: impl IntoIterator<Item = R>,
        read: impl Fn(R, Load, Arc<Course>, usize) -> F,
    ) where
        F: Future<Output = Finish> + Send + 'static,
    {
        for receiver in receivers {
            let task = read(receiver, self.load, Arc::clone(&self.course), self.readers.len());
            self.readers.push(self.spawner.spawn(self.course.reader(task)));
        }
    }

    /// A task for each that publishes. Publishers are numbered from 0 on.
    pub fn publish<S, F>(
        &mut self,
        senders: impl IntoIterator<Item = S>,
        publish: impl Fn(S, Load, Arc<Course>, usize) -> F,
    ) where
        F: Future<Output = PublisherReport> + Send + 'static,
    {
        for sender in senders {
            let task = publish(sender, self.load, Arc::clone(&self.course), self.publishers.len());
            self.publishers.push(self.spawner.spawn(task));
        }
    }

    /// When everybody has come to the end. What no task owns any more must be dropped by then, or
    /// readers wait for it; `stuck` is kept until then.
    pub async fn outcome<T>(self, stuck: T) -> Outcome {
        let outcome = self.course.outcome(self.publishers, self.readers).await;
        drop(stuck);
        outcome
    }
}
