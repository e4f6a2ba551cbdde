//! The state that all connections share.

use super::accounts::Accounts;
use super::admission::Admission;
use super::events::Events;
use super::info::ServerInfo;
use super::settings::NatsSettings;
use crate::diagnostics::FrontEnd;
use std::sync::Arc;

/// The state that all connections share.
pub struct Nats {
    pub(super) accounts: Accounts,
    pub(super) events: Events,
    pub(super) settings: Arc<NatsSettings>,
    pub(super) admission: Admission,
    pub(super) front_end: Arc<FrontEnd>,
    pub(super) info: ServerInfo,
}
