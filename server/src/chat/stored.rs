//! Chat's part of the database, read when the server starts.

use super::names::{Name, NameOf};
use super::rooms::Directory;
use super::settings::ChatSettings;
use crate::limits::LOADED_LINES;
use crate::message::ServerMessage;
use crate::store::{Database, StoreError};
use fanfare::Broker;
use std::sync::Arc;

/// State of earlier servers for chat: owned names, and the rules of rooms.
pub struct LeftChat {
    pub(super) directory: Arc<Directory>,
}

impl LeftChat {
    /// Reads what earlier servers left. Their lines become the histories of the broker, to which
    /// nobody may have subscribed yet.
    pub fn read(
        database: &Database,
        broker: &Broker<ServerMessage>,
        settings: &ChatSettings,
    ) -> Result<Self, StoreError> {
        let directory = Directory::new(settings.directory, settings.operators());
        for shown in database.account_names()? {
            if let Ok(name) = Name::parse(&shown, NameOf::Person, usize::MAX) {
                directory.own(&name);
            }
        }
        for (room, rules) in database.rooms()? {
            let Ok(room) = Name::parse(&room, NameOf::Room, usize::MAX) else { continue };
            let rules = serde_json::from_str(&rules).map_err(|error| {
                StoreError::Failed(format!("the rules of {room} cannot be read: {error}"))
            })?;
            directory.restore(room, rules);
        }
        fill_histories(database, broker, settings)?;
        Ok(Self { directory })
    }
}

fn fill_histories(
    database: &Database,
    broker: &Broker<ServerMessage>,
    settings: &ChatSettings,
) -> Result<(), StoreError> {
    let mut publisher = broker.publisher();
    let lines = u32::try_from(settings.session.history_lines).unwrap_or(LOADED_LINES);
    for (room, mut messages) in database.load(lines)? {
        // A NATS client may have published to a topic that is not a valid room's.
        if let Ok(room) = Name::parse(&room, NameOf::Room, usize::MAX) {
            // Nobody subscribes, so no queue can be full; and a closed broker keeps nothing.
            let _ = publisher.try_publish_batch(room.topic(), &mut messages);
        }
    }
    Ok(())
}
