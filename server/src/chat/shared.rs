//! The state that all connections share.

use super::accounts::Accounts;
use super::password::Secret;
use super::settings::ChatSettings;
use crate::diagnostics::FrontEnd;
use crate::live::Live;
use crate::message::ServerMessage;
use fanfare::Broker;
use std::sync::Arc;

/// The state that all connections share.
pub struct Chat {
    pub(super) broker: Broker<ServerMessage>,
    pub(super) settings: ChatSettings,
    pub(super) front_end: Arc<FrontEnd>,
    pub(super) accounts: Accounts,
    /// The password that everybody must give first.
    pub(super) password: Live<Option<Secret>>,
}
