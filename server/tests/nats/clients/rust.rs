//! async-nats, NATS's own client for Rust.

use crate::start;
use async_nats::{
    Client, ConnectErrorKind, ConnectOptions, Event, HeaderMap, PublishErrorKind, RequestErrorKind,
    Subscriber,
};
use futures_lite::{StreamExt, future};
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;
use testkit::nats::server::{Kind, Server};
use testkit::nats::settings::{Permission, Settings, User};
use testkit::nats::tls_certificate;
use testkit::patience::PATIENCE;
use testkit::ports::own_address;
use tokio::sync::mpsc;

/// Makes two tests of each scenario: `scenario::nats_server` and `scenario::fanfare`.
macro_rules! scenarios {
    ($settings:expr; $($scenario:ident),+ $(,)?) => {
        $(mod $scenario {
            #[allow(unused_imports)] // the settings' names
            use super::*;

            #[test]
            fn nats_server() {
                play(Kind::NatsServer, &$settings, super::$scenario);
            }

            #[test]
            fn fanfare() {
                play(Kind::Fanfare, &$settings, super::$scenario);
            }
        })+
    };
}

scenarios!(Settings::default();
    connect,
    wildcards,
    queue_group,
    request_reply,
    no_responders,
    headers,
    max_payload,
    auto_unsubscribe,
    drain,
    large_payloads,
    order,
);
scenarios!(Settings::on_port(own_address().port()); reconnect);
scenarios!(with_users(); wrong_password, permission_violation, accounts);
scenarios!(Settings { tls: true, ..Settings::default() }; tls);
scenarios!(
    Settings {
        lame_duck_duration_ms: Some(30_000),
        lame_duck_grace_ms: Some(500),
        ..Settings::default()
    };
    lame_duck,
);

/// The public half of the key that the scripts have.
const NKEY: &str = "UDVEU3DD4KOFECV66VIHWEZOYX4ZKR3WV27L464SIIPOU2IUI3JCYSJF";

/// `alice` may do everything, `bob` may publish and subscribe `open.>` and his inbox only, `till`
/// is in another account.
pub fn with_users() -> Settings {
    let open = Some(Permission { allow: &["open.>", "_INBOX.>"], deny: &[] });
    let bob = User { publish: open.clone(), subscribe: open, ..User::new("bob", "b") };
    let others = [User::of("SHOP", "till", "t"), User::with_nkey(NKEY)];
    let users = [User::new("alice", "a"), bob].into_iter().chain(others).collect();
    Settings { users, ..Settings::default() }
}

fn play<F: Future<Output = ()>>(
    kind: Kind,
    settings: &Settings,
    scenario: impl FnOnce(Server) -> F,
) {
    let Some(server) = start(kind, settings) else { return };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(scenario(server));
}

async fn in_time<T>(what: &str, something: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, something)
        .await
        .unwrap_or_else(|_| panic!("waited in vain until {what}"))
}

fn options() -> ConnectOptions {
    // By default it waits longer and longer between attempts.
    ConnectOptions::new()
        .connection_timeout(PATIENCE)
        .request_timeout(Some(PATIENCE))
        .max_reconnects(None)
        .reconnect_delay_callback(|_| Duration::from_millis(20))
}

async fn client(server: &Server) -> Client {
    options().connect(server.address.to_string()).await.unwrap()
}

/// A client, and what befalls it.
async fn watched(options: ConnectOptions, address: &str) -> (Client, mpsc::Receiver<Event>) {
    let (sender, events) = mpsc::channel(100);
    let report = move |event| {
        let sender = sender.clone();
        async move { drop(sender.send(event).await) }
    };
    (options.event_callback(report).connect(address).await.unwrap(), events)
}

async fn wait_for(events: &mut mpsc::Receiver<Event>, wanted: impl Fn(&Event) -> bool) {
    loop {
        let event = in_time("something befalls the client", events.recv()).await.unwrap();
        if wanted(&event) {
            return;
        }
    }
}

/// Everything that this client has asked for so far is done: a server does one thing after the
/// other.
async fn settle(client: &Client) {
    let inbox = client.new_inbox();
    let mut answers = client.subscribe(inbox.clone()).await.unwrap();
    client.publish(inbox, "".into()).await.unwrap();
    answers.next().await.unwrap();
}

async fn next(messages: &mut Subscriber) -> String {
    let message = in_time("a message comes", messages.next()).await.unwrap();
    format!("{} {}", message.subject, String::from_utf8_lossy(&message.payload))
}

/// Nothing came that was not expected, `last` excepted, which everybody hears last.
async fn expect_nothing_but(last: &str, client: &Client, messages: &mut Subscriber) {
    client.publish(last.to_owned(), "last".into()).await.unwrap();
    assert_eq!(next(messages).await, format!("{last} last"));
}

async fn connect(server: Server) {
    let client = client(&server).await;
    let info = client.server_info();
    assert_eq!((info.port, info.max_payload, info.headers), (server.address.port(), 1 << 20, true));
    settle(&client).await;
}

async fn wildcards(server: Server) {
    let client = client(&server).await;
    let mut star = client.subscribe("a.*.c").await.unwrap();
    let mut arrow = client.subscribe("a.>").await.unwrap();
    for subject in ["a", "a.b", "a.b.c", "b.b.c", "a.b.c.d"] {
        client.publish(subject, "x".into()).await.unwrap();
    }
    for expected in ["a.b x", "a.b.c x", "a.b.c.d x"] {
        assert_eq!(next(&mut arrow).await, expected);
    }
    assert_eq!(next(&mut star).await, "a.b.c x");
    expect_nothing_but("a.last.c", &client, &mut star).await;
}

async fn queue_group(server: Server) {
    const MESSAGES: usize = 3_000;
    let (sender, mut received) = mpsc::channel(MESSAGES);
    let mut members = Vec::new();
    for member in 0..3 {
        let client = client(&server).await;
        let mut work = client.queue_subscribe("work", "workers".to_owned()).await.unwrap();
        settle(&client).await;
        members.push(client);
        let sender = sender.clone();
        tokio::spawn(async move {
            while let Some(message) = work.next().await {
                let number: usize = String::from_utf8_lossy(&message.payload).parse().unwrap();
                let _ = sender.send((member, number)).await;
            }
        });
    }
    let publisher = client(&server).await;
    for number in 0..MESSAGES {
        publisher.publish("work", number.to_string().into()).await.unwrap();
    }
    let (mut numbers, mut busy) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..MESSAGES {
        let (member, number) = in_time("each message has come", received.recv()).await.unwrap();
        assert!(numbers.insert(number), "{number} came twice");
        busy.insert(member);
    }
    assert_eq!(busy.len(), 3, "everybody works");
    for member in &members {
        settle(member).await;
    }
    assert!(received.try_recv().is_err(), "a message came twice");
}

async fn request_reply(server: Server) {
    let (asking, answering) = (client(&server).await, client(&server).await);
    let mut requests = answering.subscribe("double").await.unwrap();
    settle(&answering).await;
    tokio::spawn(async move {
        while let Some(request) = requests.next().await {
            let number: u64 = String::from_utf8_lossy(&request.payload).parse().unwrap();
            answering
                .publish(request.reply.unwrap(), (2 * number).to_string().into())
                .await
                .unwrap();
        }
    });
    for number in 0..100_u64 {
        let answer = asking.request("double", number.to_string().into()).await.unwrap();
        assert_eq!(answer.payload, (2 * number).to_string());
    }
}

async fn no_responders(server: Server) {
    let client = client(&server).await;
    let error = client.request("nobody", "x".into()).await.unwrap_err();
    assert_eq!(error.kind(), RequestErrorKind::NoResponders);
    let jetstream = client.request("$JS.API.INFO", "".into()).await.unwrap_err();
    assert_eq!(jetstream.kind(), RequestErrorKind::NoResponders);
}

async fn headers(server: Server) {
    let client = client(&server).await;
    let mut messages = client.subscribe("a").await.unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("One", "1");
    headers.append("Many", "first");
    headers.append("Many", "second, with: a colon");
    client.publish_with_headers("a", headers.clone(), "payload".into()).await.unwrap();
    let message = in_time("it comes", messages.next()).await.unwrap();
    assert_eq!(message.payload, "payload");
    assert_eq!(message.headers, Some(headers));
}

async fn max_payload(server: Server) {
    let client = client(&server).await;
    let too_large = vec![b'p'; (1 << 20) + 1];
    let error = client.publish("a", too_large.into()).await.unwrap_err();
    assert_eq!(error.kind(), PublishErrorKind::MaxPayloadExceeded);
    settle(&client).await;
}

async fn auto_unsubscribe(server: Server) {
    let client = client(&server).await;
    let mut messages = client.subscribe("a").await.unwrap();
    messages.unsubscribe_after(3).await.unwrap();
    for number in 1..=5 {
        client.publish("a", number.to_string().into()).await.unwrap();
    }
    for number in 1..=3 {
        assert_eq!(next(&mut messages).await, format!("a {number}"));
    }
    assert!(in_time("it ends", messages.next()).await.is_none());
    settle(&client).await;
}

async fn drain(server: Server) {
    let (publisher, draining) = (client(&server).await, client(&server).await);
    let mut messages = draining.subscribe("a").await.unwrap();
    settle(&draining).await;
    for number in 0..1_000 {
        publisher.publish("a", number.to_string().into()).await.unwrap();
    }
    settle(&publisher).await;
    // The client's drain may lose what is still on its way, also with nats-server.
    settle(&draining).await;
    draining.drain().await.unwrap();
    for number in 0..1_000 {
        assert_eq!(next(&mut messages).await, format!("a {number}"));
    }
    assert!(in_time("it ends", messages.next()).await.is_none());
}

async fn large_payloads(server: Server) {
    let client = client(&server).await;
    let mut messages = client.subscribe("a").await.unwrap();
    for number in 0..10_u8 {
        let payload = vec![number; 1 << 20];
        client.publish("a", payload.clone().into()).await.unwrap();
        let message = in_time("it comes", messages.next()).await.unwrap();
        assert!(message.payload == payload, "number {number} arrives as it was sent");
    }
}

async fn order(server: Server) {
    const MESSAGES: usize = 100_000;
    // The client drops what does not fit into its own queue.
    let reader = options()
        .subscription_capacity(MESSAGES)
        .connect(server.address.to_string())
        .await
        .unwrap();
    let mut messages = reader.subscribe("a").await.unwrap();
    settle(&reader).await;
    let publisher = client(&server).await;
    let publishing = async {
        for number in 0..MESSAGES {
            publisher.publish("a", number.to_string().into()).await.unwrap();
        }
    };
    let reading = async {
        for number in 0..MESSAGES {
            assert_eq!(next(&mut messages).await, format!("a {number}"));
        }
    };
    future::zip(publishing, reading).await;
}

async fn reconnect(server: Server) {
    let (client, mut events) = watched(options(), &server.address.to_string()).await;
    let mut messages = client.subscribe("a").await.unwrap();
    settle(&client).await;
    let (kind, settings) = (server.kind, Settings::on_port(server.address.port()));
    drop(server);
    wait_for(&mut events, |event| matches!(event, Event::Disconnected)).await;
    let _again = start(kind, &settings).unwrap();
    wait_for(&mut events, |event| matches!(event, Event::Connected)).await;
    client.publish("a", "after".into()).await.unwrap();
    assert_eq!(next(&mut messages).await, "a after");
}

async fn wrong_password(server: Server) {
    let address = server.address.to_string();
    for (user, password) in [("alice", "b"), ("nobody", "a")] {
        let options = ConnectOptions::with_user_and_password(user.to_owned(), password.to_owned());
        let error = options.connect(&address).await.unwrap_err();
        assert_eq!(error.kind(), ConnectErrorKind::AuthorizationViolation);
    }
    let options = ConnectOptions::with_user_and_password("alice".to_owned(), "a".to_owned());
    settle(&options.connect(&address).await.unwrap()).await;
}

async fn permission_violation(server: Server) {
    let bob = options().user_and_password("bob".to_owned(), "b".to_owned());
    let (client, mut events) = watched(bob, &server.address.to_string()).await;
    let violation = |what: &'static str| {
        move |event: &Event| {
            let text = event.to_string().to_lowercase();
            matches!(event, Event::ServerError(_))
                && text.contains("permissions violation")
                && text.contains(what)
        }
    };
    client.publish("closed.a", "x".into()).await.unwrap();
    wait_for(&mut events, violation("publish to \"closed.a\"")).await;
    let _refused = client.subscribe("closed.>").await.unwrap();
    wait_for(&mut events, violation("subscription to \"closed.>\"")).await;
    let mut open = client.subscribe("open.*").await.unwrap();
    client.publish("open.a", "x".into()).await.unwrap();
    assert_eq!(next(&mut open).await, "open.a x");
}

async fn accounts(server: Server) {
    let address = server.address.to_string();
    let login = |name: &str, password: &str| {
        options().user_and_password(name.to_owned(), password.to_owned()).connect(address.clone())
    };
    let (till, alice) = (login("till", "t").await.unwrap(), login("alice", "a").await.unwrap());
    let mut of_till = till.subscribe("orders").await.unwrap();
    let mut of_alice = alice.subscribe("orders").await.unwrap();
    let _service = till.subscribe("service").await.unwrap();
    settle(&till).await;
    settle(&alice).await;
    till.publish("orders", "till".into()).await.unwrap();
    settle(&till).await;
    alice.publish("orders", "alice".into()).await.unwrap();
    assert_eq!(next(&mut of_till).await, "orders till");
    assert_eq!(next(&mut of_alice).await, "orders alice");
    let refused = alice.request("service", "x".into()).await.unwrap_err();
    assert_eq!(refused.kind(), RequestErrorKind::NoResponders);
}

async fn tls(server: Server) {
    let options = options().require_tls(true).add_root_certificates(tls_certificate());
    let client =
        options.connect(format!("tls://localhost:{}", server.address.port())).await.unwrap();
    let mut messages = client.subscribe("a").await.unwrap();
    let payload = "p".repeat(500_000);
    client.publish("a", payload.clone().into()).await.unwrap();
    assert!(next(&mut messages).await == format!("a {payload}"));
    let trusting_nobody = ConnectOptions::new().require_tls(true);
    trusting_nobody
        .connect(format!("tls://localhost:{}", server.address.port()))
        .await
        .unwrap_err();
}

async fn lame_duck(server: Server) {
    let (client, mut events) = watched(options(), &server.address.to_string()).await;
    settle(&client).await;
    server.signal(Signal::USR2);
    wait_for(&mut events, |event| matches!(event, Event::LameDuckMode)).await;
    wait_for(&mut events, |event| matches!(event, Event::Disconnected)).await;
}
