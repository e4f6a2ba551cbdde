//! Fanfare and its hub, joined, and how tests wait for what was said on one side to be known on the
//! other.

use crate::FANFARE;
use std::net::SocketAddr;
use std::path::Path;
use testkit::http::{Http, page};
use testkit::nats::hub::{Hub, HubSettings};
use testkit::nats::server::{Kind, Server};
use testkit::nats::settings::Settings;
use testkit::nats::wire::Wire;
use testkit::patience::wait_until;

/// A server that has joined a hub.
pub struct Joined {
    pub hub: Hub,
    pub fanfare: Server,
    control: Control,
}

/// A client on either side.
struct Control {
    there: Wire,
    here: Wire,
}

/// A Fanfare that dials these hubs, with more flags.
pub fn fanfare(hubs: &[&Hub], flags: &[&str]) -> Server {
    let hubs: Vec<String> = hubs.iter().map(|hub| format!("nats://{}", hub.leafnodes)).collect();
    fanfare_at(&hubs.join(","), flags)
}

/// A Fanfare that dials this address.
pub fn fanfare_at(address: &str, flags: &[&str]) -> Server {
    let mut all = vec!["--cluster", address];
    all.extend(flags);
    let flags = all.into_iter().map(str::to_owned).collect();
    Server::start(Kind::Fanfare, Path::new(FANFARE), &Settings { flags, ..Settings::default() })
}

impl Joined {
    pub fn new(program: &Path) -> Self {
        Self::with(program, &HubSettings::default(), &[])
    }

    pub fn with(program: &Path, settings: &HubSettings, flags: &[&str]) -> Self {
        let hub = Hub::start(program, settings);
        let fanfare = fanfare(&[&hub], flags);
        Self::of(hub, fanfare)
    }

    pub fn of(hub: Hub, fanfare: Server) -> Self {
        let control = Control::new(&hub, &fanfare);
        let mut joined = Self { hub, fanfare, control };
        joined.settle();
        joined
    }

    /// What was subscribed to before on either side is known on the other.
    pub fn settle(&mut self) {
        self.control.settle();
    }

    /// Kills the hub, does something, and starts it again on the same ports.
    pub fn without_hub(self, program: &Path, settings: &HubSettings, act: impl FnOnce()) -> Self {
        assert!(settings.ports.is_some(), "others could take them meanwhile");
        let Self { hub, fanfare, control } = self;
        drop((hub, control));
        act();
        Self::of(Hub::start(program, settings), fanfare)
    }
}

impl Control {
    fn new(hub: &Hub, fanfare: &Server) -> Self {
        let mut control = Self { there: hub.client(), here: fanfare.with_headers() };
        control.here.say("SUB _INBOX.here 1\r\nSUB down 2");
        control.here.sync();
        // A hub of 2.9 can forget interest that begins while a leaf node joins (nats-server #4464).
        // Once it knows the interest of the leaf node, it has told its own.
        wait_until("the hub knows our interest", || has_interest(hub));
        control.there.say("SUB up 1");
        control
    }

    fn settle(&mut self) {
        self.there.sync();
        self.here.sync();
        // The hub tells its interest in order, and so do we: before any later message.
        wait_until("a message gets to the hub", || self.is_taken("up"));
        self.there.expect("MSG up 1 _INBOX.here 0\r\n\r\n");
        self.there.say("PUB down 0\r\n");
        self.here.expect("MSG down 2 0\r\n\r\n");
    }

    /// Publishes a request. False if nobody is there for it.
    fn is_taken(&mut self, subject: &str) -> bool {
        is_taken(&mut self.here, subject)
    }
}

/// Whether a leaf node has told the hub its interest.
fn has_interest(hub: &Hub) -> bool {
    let leafz = page(hub.monitoring, "/leafz");
    let mut leafs = leafz["leafs"].as_array().into_iter().flatten();
    leafs.any(|leaf| leaf["subscriptions"].as_u64() > Some(0))
}

/// Publishes a request from a client that hears `_INBOX.here`. False if nobody is there for it.
pub fn is_taken(client: &mut Wire, subject: &str) -> bool {
    client.say(&format!("PUB {subject} _INBOX.here 0\r\n\r\nPING"));
    let mut is_taken = true;
    loop {
        let line = client.line();
        match line.as_str() {
            "PONG" => return is_taken,
            line => is_taken &= !line.starts_with("NATS/1.0 503"),
        }
    }
}

/// A figure of the first link from the admin listener, which has to be on.
pub fn figure(admin: SocketAddr, name: &str) -> u64 {
    figure_of(admin, "cluster", name)
}

/// A figure of one link from the admin listener, which has to be on.
pub fn figure_of(admin: SocketAddr, link: &str, name: &str) -> u64 {
    let answer = Http::connect(admin).get("/metrics");
    let text = String::from_utf8(answer.body).unwrap();
    let begin = format!("fanfare_cluster_{name}{{front_end=\"{link}\"}} ");
    let line = text.lines().find(|line| line.starts_with(&begin));
    let value = line.and_then(|line| line.split(' ').nth(1)).unwrap_or_else(|| panic!("{name}"));
    value.parse::<f64>().unwrap() as u64
}
