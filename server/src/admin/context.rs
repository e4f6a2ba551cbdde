//! The state that the pages of the admin listener are made from.

use super::times::timestamp;
use crate::diagnostics::{Diagnostics, Facts};
use crate::message::ServerMessage;
use crate::process::{CpuShare, Process};
use crate::tasks::{Limiter, Tasks};
use fanfare::Broker;
use std::time::SystemTime;

/// The name of this front-end.
pub(super) const NAME: &str = "admin";

pub(super) struct AdminContext {
    pub broker: Broker<ServerMessage>,
    pub tasks: Tasks,
    pub diagnostics: Diagnostics,
    pub cpu_share: CpuShare,
    /// Allows one page at a time to be made.
    pub pages: Limiter,
    // One profile of a kind at a time: each costs time and memory.
    #[cfg(target_os = "linux")]
    pub heap_profile: Limiter,
    #[cfg(target_os = "linux")]
    pub cpu_profile: Limiter,
    pub task_profile: Limiter,
}

impl AdminContext {
    pub fn new(broker: &Broker<ServerMessage>, tasks: &Tasks, diagnostics: &Diagnostics) -> Self {
        Self {
            broker: broker.clone(),
            tasks: tasks.clone(),
            diagnostics: diagnostics.clone(),
            cpu_share: CpuShare::new(Process::now()),
            pages: Limiter::new(1),
            #[cfg(target_os = "linux")]
            heap_profile: Limiter::new(1),
            #[cfg(target_os = "linux")]
            cpu_profile: Limiter::new(1),
            task_profile: Limiter::new(1),
        }
    }

    /// The fields that begin each document of NATS.
    pub fn head(&self) -> Facts {
        vec![
            ("server_id", self.diagnostics.server_id().into()),
            ("now", timestamp(SystemTime::now()).into()),
        ]
    }
}
