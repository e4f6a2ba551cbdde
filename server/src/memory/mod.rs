//! One budget for the memory of all front-ends. Near it, connections that do not read are ended,
//! heaviest first, before the kernel ends the process.
//!
//! A task looks at what the allocator has handed out, in which everything is counted once, however
//! many queues share it. What a connection holds only decides its turn to go. Between two looks
//! memory grows by no more than what was granted to be read, and by what a processor can do with
//! that in the meantime.

mod available;

use crate::counted::counted;
use crate::diagnostics::{ConnectionFigures, Diagnostics, Ended, Event, FrontEnd};
use crate::limits::{
    MEMORY_BYTES_MIN, MEMORY_BYTES_UNKNOWN, MEMORY_GROWTH_BYTES_PER_MS, MEMORY_LOOK_MS,
    MEMORY_PER_BYTE_READ, MEMORY_READ_BYTES_MIN, MEMORY_SHED_BYTES_MIN, MEMORY_STUCK_MS,
    MEMORY_TEAR_DOWN_MS,
};
use crate::message::ServerMessage;
use crate::tasks::{self, Scope, TaskHandle, Wait, waiting};
use async_io::Timer;
use available::available_bytes;
use fanfare::Broker;
use futures_lite::future;
use std::cmp::Reverse;
use std::future::poll_fn;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// The budget if nobody says otherwise: half of what there is for this process.
pub fn default_budget_bytes() -> u64 {
    available_bytes().map_or(MEMORY_BYTES_UNKNOWN, |bytes| (bytes / 2).max(MEMORY_BYTES_MIN))
}

/// Bytes that the program has allocated and not freed; `None` where the allocator does not tell.
#[cfg(target_os = "linux")]
pub fn allocated_bytes() -> Option<u64> {
    use tikv_jemalloc_ctl::{epoch, stats};
    // The figures are those of the last epoch.
    epoch::advance().and_then(|_| stats::allocated::read()).ok().map(|bytes| bytes as u64)
}

/// Bytes that the program has allocated and not freed; `None` where the allocator does not tell.
#[cfg(not(target_os = "linux"))]
pub fn allocated_bytes() -> Option<u64> {
    None
}

/// Watches the memory, and keeps it below a budget.
pub struct MemoryWatch {
    diagnostics: Diagnostics,
    broker: Broker<ServerMessage>,
    budget_bytes: u64,
    /// Connections that were ended and are not gone yet, and until when that is waited for.
    leaving: Vec<Weak<ConnectionFigures>>,
    leaving_until: Instant,
    /// Whether what histories kept was forgotten since memory was last in order.
    has_forgotten: bool,
}

/// A connection that may be ended.
struct Candidate {
    figures: Arc<ConnectionFigures>,
    front_end: Arc<FrontEnd>,
    held_bytes: u64,
    is_stuck: bool,
}

/// How short memory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shortage {
    None,
    /// Connections that take nothing have to go until this much is free.
    Near(u64),
    /// The budget is used up: so has whatever else can, heaviest first.
    Over(u64),
}

impl MemoryWatch {
    /// A watch that begins now.
    pub fn new(
        diagnostics: &Diagnostics,
        broker: &Broker<ServerMessage>,
        budget_bytes: u64,
    ) -> Self {
        Self {
            diagnostics: diagnostics.clone(),
            broker: broker.clone(),
            budget_bytes,
            leaving: Vec::new(),
            leaving_until: Instant::now(),
            has_forgotten: false,
        }
    }

    /// Looks again and again, in a task of this owner: more often the less is left, and as soon as
    /// what was granted to be read is spent.
    pub fn spawn(mut self, owner: &Scope) -> TaskHandle {
        owner.spawn("memory watch", async move {
            let mut timer = Timer::never();
            loop {
                let began = Instant::now();
                let next = began + self.look(began);
                // Looking takes no more than a tenth of a processor.
                let rest = (began.elapsed() * 10).max(Duration::from_millis(MEMORY_LOOK_MS.0));
                let rested = began + rest;
                timer.set_at(next.max(rested));
                let allowance = self.diagnostics.memory().allowance().clone();
                let spent = poll_fn(|context| allowance.poll_spent(context));
                let due = async {
                    (&mut timer).await;
                };
                waiting(Wait::TIMER, future::or(spent, due)).await;
                // Mostly over by now: an idle server wakes once a look.
                timer.set_at(rested);
                waiting(Wait::TIMER, &mut timer).await;
            }
        })
    }

    /// Looks at the memory, and does what is needed. Gives the time to the next look.
    fn look(&mut self, now: Instant) -> Duration {
        let used_bytes = allocated_bytes().unwrap_or_else(|| self.held_bytes());
        let memory = self.diagnostics.memory();
        memory.note(self.budget_bytes, used_bytes);
        memory.allowance().grant(readable_bytes(self.budget_bytes, used_bytes));
        match shortage(self.budget_bytes, used_bytes) {
            Shortage::None => self.has_forgotten = false,
            shortage if !self.is_waiting(now) => self.make_room(shortage, now),
            _ => {}
        }
        until_next_look(self.budget_bytes, used_bytes)
    }

    /// Whether those that were ended last may still be going: what they held is not free yet.
    fn is_waiting(&mut self, now: Instant) -> bool {
        self.leaving.retain(|figures| figures.strong_count() > 0);
        !self.leaving.is_empty() && now < self.leaving_until
    }

    fn make_room(&mut self, shortage: Shortage, now: Instant) {
        let (room_bytes, is_over) = match shortage {
            Shortage::None => return,
            Shortage::Near(bytes) => (bytes, false),
            Shortage::Over(bytes) => (bytes, true),
        };
        let candidates = self.candidates();
        let has_stuck = candidates.iter().any(|candidate| candidate.is_stuck);
        if is_over && !has_stuck && !self.has_forgotten {
            // Sooner than ending a connection that reads.
            self.has_forgotten = true;
            self.broker.forget_histories();
            let what = "memory is short: kept messages were forgotten";
            self.diagnostics.journal().note("memory", Event::Warned(what));
            return;
        }
        let chosen = choose(candidates, room_bytes, is_over && !has_stuck);
        if chosen.is_empty() {
            return;
        }
        self.leaving_until = now + Duration::from_millis(MEMORY_TEAR_DOWN_MS);
        self.leaving = chosen.iter().map(|chosen| Arc::downgrade(&chosen.figures)).collect();
        report(&chosen);
        chosen.iter().for_each(|chosen| {
            chosen.figures.end(Ended::Shed);
        });
    }

    fn candidates(&self) -> Vec<Candidate> {
        let stuck = Duration::from_millis(MEMORY_STUCK_MS);
        let of = |front_end: &Arc<FrontEnd>, figures: Arc<ConnectionFigures>| Candidate {
            held_bytes: figures.held_bytes() as u64,
            is_stuck: figures.is_stuck_for(stuck),
            front_end: front_end.clone(),
            figures,
        };
        let front_ends = self.diagnostics.front_ends();
        let all = front_ends.iter().flat_map(|front_end| {
            front_end.live().into_iter().map(move |figures| of(front_end, figures))
        });
        let (stuck_min, reading_min) = MEMORY_SHED_BYTES_MIN;
        all.filter(|candidate| {
            candidate.held_bytes >= if candidate.is_stuck { stuck_min } else { reading_min }
        })
        .collect()
    }

    fn held_bytes(&self) -> u64 {
        let front_ends = self.diagnostics.front_ends();
        let all = front_ends.iter().flat_map(|front_end| front_end.live());
        all.map(|figures| figures.held_bytes() as u64).sum()
    }
}

/// How short memory is: from seven eighths of the budget on, down to three quarters.
fn shortage(budget_bytes: u64, used_bytes: u64) -> Shortage {
    let room_bytes = used_bytes.saturating_sub(budget_bytes / 4 * 3);
    if used_bytes >= budget_bytes {
        Shortage::Over(room_bytes)
    } else if used_bytes >= budget_bytes / 8 * 7 {
        Shortage::Near(room_bytes)
    } else {
        Shortage::None
    }
}

/// Bytes that may be read until the next look: memory grows by more than what is read.
fn readable_bytes(budget_bytes: u64, used_bytes: u64) -> u64 {
    let left_bytes = budget_bytes.saturating_sub(used_bytes);
    (left_bytes / MEMORY_PER_BYTE_READ).max(MEMORY_READ_BYTES_MIN)
}

fn until_next_look(budget_bytes: u64, used_bytes: u64) -> Duration {
    let left_ms = budget_bytes.saturating_sub(used_bytes) / MEMORY_GROWTH_BYTES_PER_MS;
    Duration::from_millis(left_ms.clamp(MEMORY_LOOK_MS.0, MEMORY_LOOK_MS.1))
}

/// The heaviest, until they hold as much as is needed.
fn choose(mut candidates: Vec<Candidate>, room_bytes: u64, everybody: bool) -> Vec<Candidate> {
    candidates.retain(|candidate| everybody || candidate.is_stuck);
    candidates.sort_by_key(|candidate| Reverse(candidate.held_bytes));
    let mut chosen_bytes = 0;
    candidates
        .into_iter()
        .take_while(|candidate| {
            let goes_on = chosen_bytes < room_bytes;
            chosen_bytes += candidate.held_bytes;
            goes_on
        })
        .collect()
}

fn report(chosen: &[Candidate]) {
    let [heaviest, ..] = chosen else { return };
    let held_bytes: u64 = chosen.iter().map(|chosen| chosen.held_bytes).sum();
    log::warn!(task:% = tasks::label();
        "memory is short: ended {} that held {held_bytes} bytes; the heaviest is {} \
         client {} at {} with {} bytes",
        counted(chosen.len(), "connection"),
        heaviest.front_end.name(),
        heaviest.figures.id(),
        heaviest.figures.peer(),
        heaviest.held_bytes,
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostics::ConnectionEntry;

    const MIB: u64 = 1 << 20;

    #[test]
    fn nothing_happens_below_seven_eighths_of_the_budget() {
        assert_eq!(shortage(64 * MIB, 56 * MIB - 1), Shortage::None);
        assert_eq!(shortage(64 * MIB, 56 * MIB), Shortage::Near(8 * MIB));
        assert_eq!(shortage(64 * MIB, 70 * MIB), Shortage::Over(22 * MIB));
    }

    #[test]
    fn the_less_is_left_the_less_is_read_and_the_sooner_it_looks_again() {
        let (little, much) = (64 * MIB, 64 << 30);
        assert_eq!(readable_bytes(little, 60 * MIB), 4 * MIB / MEMORY_PER_BYTE_READ);
        assert_eq!(readable_bytes(little, 70 * MIB), MEMORY_READ_BYTES_MIN);
        assert_eq!(until_next_look(little, 70 * MIB).as_millis() as u64, MEMORY_LOOK_MS.0);
        assert_eq!(until_next_look(much, MIB).as_millis() as u64, MEMORY_LOOK_MS.1);
        assert!(until_next_look(little, 32 * MIB) > until_next_look(little, 48 * MIB));
    }

    #[test]
    fn the_heaviest_that_are_stuck_go_and_the_others_only_if_nobody_is() {
        let chat = Diagnostics::new().front_end("chat");
        let entries: Vec<ConnectionEntry> = (0..4)
            .map(|port| chat.connected(([10, 0, 0, 1], port).into(), &Arc::default()))
            .collect();
        let held = |everybody: bool, room_bytes| {
            let candidates = [(3, false), (5, true), (9, false), (7, true)];
            let candidates = candidates.iter().zip(&entries).map(|((held, is_stuck), entry)| {
                let (figures, front_end) = (entry.figures().clone(), chat.clone());
                Candidate { figures, front_end, held_bytes: *held, is_stuck: *is_stuck }
            });
            let chosen = choose(candidates.collect(), room_bytes, everybody);
            chosen.iter().map(|chosen| chosen.held_bytes).collect::<Vec<_>>()
        };
        assert_eq!(held(false, 7), [7]);
        assert_eq!(held(false, 100), [7, 5]);
        assert_eq!(held(true, 10), [9, 7]);
    }
}
