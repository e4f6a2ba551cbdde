//! What all pages are made from.

use super::process::{CpuShare, Process};
use crate::diagnostics::Diagnostics;
use crate::message::ServerMessage;
use crate::tasks::Tasks;
use fanfare::Broker;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub(super) struct State {
    pub broker: Broker<ServerMessage>,
    pub tasks: Tasks,
    pub diagnostics: Diagnostics,
    pub cpu_share: CpuShare,
    pub heap_profile: OneAtATime,
    pub cpu_profile: OneAtATime,
    pub task_profile: OneAtATime,
}

impl State {
    pub fn new(broker: &Broker<ServerMessage>, tasks: &Tasks, diagnostics: &Diagnostics) -> Self {
        Self {
            broker: broker.clone(),
            tasks: tasks.clone(),
            diagnostics: diagnostics.clone(),
            cpu_share: CpuShare::new(Process::now()),
            heap_profile: OneAtATime::default(),
            cpu_profile: OneAtATime::default(),
            task_profile: OneAtATime::default(),
        }
    }
}

/// Work that is refused while the same is being done: profiles cost time and memory.
#[derive(Default)]
pub(super) struct OneAtATime {
    is_busy: Arc<AtomicBool>,
}

/// The right to do it, given back when this is dropped.
pub(super) struct Turn {
    is_busy: Arc<AtomicBool>,
}

impl OneAtATime {
    pub fn begin(&self) -> Option<Turn> {
        (!self.is_busy.swap(true, Ordering::AcqRel)).then(|| Turn { is_busy: self.is_busy.clone() })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.is_busy.store(false, Ordering::Release);
    }
}
