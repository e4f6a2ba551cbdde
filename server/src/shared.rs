//! What all doors share: the broker, and the database behind it.

use fanfare::{Broker, WhenFull};
use fanfare_server::chat::Stored;
use fanfare_server::config::Config;
use fanfare_server::message::ServerMessage;
use fanfare_server::store::StoreError;

pub struct Shared {
    pub broker: Broker<ServerMessage>,
    pub stored: Option<Stored>,
}

impl Shared {
    /// Opens the database, if there is to be one.
    pub fn open(config: &Config) -> Result<Self, StoreError> {
        let broker = broker(config);
        let open = |data| Stored::open(data, &broker, &config.chat);
        let stored = config.data.as_ref().map(open).transpose()?;
        Ok(Self { broker, stored })
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
