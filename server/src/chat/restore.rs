//! What rooms had before the server ended, for those who come after it has begun again.

use super::names::{Name, NameOf};
use super::settings::ChatSettings;
use crate::limits::LOADED_LINES;
use crate::message::ServerMessage;
use crate::store::{Database, StoreError};
use fanfare::Broker;

/// Fills the histories of the broker from the database, before anybody subscribes.
///
/// # Errors
/// If the database cannot be read.
pub fn restore(
    database: &Database,
    broker: &Broker<ServerMessage>,
    settings: &ChatSettings,
) -> Result<(), StoreError> {
    let mut publisher = broker.publisher();
    let lines = u32::try_from(settings.session.history_lines).unwrap_or(LOADED_LINES);
    for (room, mut messages) in database.load(lines)? {
        // A NATS client may have published to what is no room's name.
        if let Ok(room) = Name::parse(&room, NameOf::Room, usize::MAX) {
            // Nobody subscribes, so no queue can be full. What is closed keeps nothing.
            let _ = publisher.try_publish_batch(room.topic(), &mut messages);
        }
    }
    Ok(())
}
