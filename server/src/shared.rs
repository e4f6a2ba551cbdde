//! What all doors share: the broker, and the database behind it.

use fanfare::{Broker, WhenFull};
use fanfare_server::chat;
use fanfare_server::config::Config;
use fanfare_server::message::ServerMessage;
use fanfare_server::store::{Database, Store, StoreError};

pub struct Shared {
    pub broker: Broker<ServerMessage>,
    pub store: Option<Store>,
}

impl Shared {
    /// Opens the database, if there is to be one. Its lines become the histories of the broker.
    pub fn open(config: &Config) -> Result<Self, StoreError> {
        let broker = broker(config);
        let Some(settings) = &config.data else { return Ok(Self { broker, store: None }) };
        let database = Database::open(settings)?;
        chat::restore(&database, &broker, &config.chat)?;
        let store = Store::start(database, &broker, config.chat.line_bytes)?;
        Ok(Self { broker, store: Some(store) })
    }
}

fn broker(config: &Config) -> Broker<ServerMessage> {
    let histories = config.chat.history().into_iter().chain(config.push.settings.histories());
    let builder = Broker::builder()
        .when_full(WhenFull::Wait(config.chat.wait))
        .keep_pace_from(config.slowest_reader)
        .max_subscriptions(config.subscriptions().iter().map(|(_, most)| most).sum());
    histories
        .fold(builder, |builder, (pattern, messages)| builder.history(pattern, messages))
        .build()
}
