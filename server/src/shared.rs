//! What all doors share: the broker and those of other accounts, and the database behind it.

use fanfare::{Broker, BrokerBuilder, WhenFull};
use fanfare_server::chat::Stored;
use fanfare_server::config::Config;
use fanfare_server::message::ServerMessage;
use fanfare_server::nats::accounts::Accounts;
use fanfare_server::store::StoreError;

pub struct Shared {
    pub broker: Broker<ServerMessage>,
    /// The broker is that of the global one.
    pub accounts: Accounts,
    pub stored: Option<Stored>,
}

impl Shared {
    /// Opens the database, if there is to be one.
    pub fn open(config: &Config) -> Result<Self, StoreError> {
        let broker = broker(config);
        let open = |data| Stored::open(data, &broker, &config.chat);
        let stored = config.data.as_ref().map(open).transpose()?;
        Ok(Self { accounts: accounts(config, &broker), broker, stored })
    }
}

fn accounts(config: &Config, broker: &Broker<ServerMessage>) -> Accounts {
    let of_another = config.clone();
    let make = move || builder(&of_another).build();
    let accounts = Accounts::new(broker, config.nats.total_subscriptions, make);
    accounts.settle(config.accounts());
    accounts
}

fn broker(config: &Config) -> Broker<ServerMessage> {
    let histories = config.chat.history().into_iter().chain(config.push.settings.histories());
    histories
        .fold(builder(config), |builder, (pattern, messages)| builder.history(pattern, messages))
        .build()
}

fn builder(config: &Config) -> BrokerBuilder<ServerMessage> {
    Broker::builder()
        .when_full(WhenFull::Wait(config.chat.wait))
        .keep_pace_from(config.slowest_reader)
        .max_subscriptions(config.subscriptions().iter().map(|(_, most)| most).sum())
}
