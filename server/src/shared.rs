//! What all front-ends share: the broker and those of other accounts, and the database behind it.

use fanfare::{Broker, BrokerBuilder, WhenFull};
use fanfare_server::chat::LeftChat;
use fanfare_server::config::Config;
use fanfare_server::message::ServerMessage;
use fanfare_server::nats::accounts::Accounts;
use fanfare_server::push::LeftPushes;
use fanfare_server::store::{Database, Store, StoreError, StoreSettings};

pub struct Shared {
    pub broker: Broker<ServerMessage>,
    /// The broker is that of the global one.
    pub accounts: Accounts,
    pub store: Option<Store>,
    /// State of earlier servers, until the front-ends that go on from it are open.
    pub left: Option<(LeftChat, LeftPushes)>,
}

impl Shared {
    /// Opens the database, if there is to be one.
    pub fn open(config: &Config) -> Result<Self, StoreError> {
        let broker = broker(config);
        let open = |data| open(data, &broker, config);
        let (store, left) = config.data.as_ref().map(open).transpose()?.unzip();
        Ok(Self { accounts: accounts(config, &broker), broker, store, left })
    }
}

fn open(
    data: &StoreSettings,
    broker: &Broker<ServerMessage>,
    config: &Config,
) -> Result<(Store, (LeftChat, LeftPushes)), StoreError> {
    let database = Database::open(data)?;
    let chat = LeftChat::read(&database, broker, &config.chat)?;
    let pushes = LeftPushes::read(&database, broker)?;
    Ok((Store::start(database, broker, config.chat.line_bytes)?, (chat, pushes)))
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
