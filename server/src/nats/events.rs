//! What the system account is told, in nats-server's words: who connects and disconnects, and how
//! the server is, from time to time and when somebody asks.

use super::accounts::{Account, AccountName, Accounts, GLOBAL};
use super::info::ServerInfo;
use super::inquiries::Inquiry;
use crate::codec::nats::Block;
use crate::diagnostics::{ConnectionFigures, ConnectionInfo, Ended, FrontEnd};
use crate::http::{Asked, Documents, whole};
use crate::limits::NATS_STATSZ_MS;
use crate::message::ServerMessage;
use crate::process::{CpuShare, Process};
use async_io::Timer;
use fanfare::Topic;
use serde_json::{Map, Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, SystemTime};

/// Tells the system account.
pub(super) struct Events {
    accounts: Accounts,
    system: AccountName,
    front_end: Arc<FrontEnd>,
    began: SystemTime,
    cpu_share: CpuShare,
    documents: OnceLock<Documents>,
    /// Each event has its number.
    number: AtomicU64,
}

/// A client that has connected, as events describe it.
pub(super) struct Guest {
    account: Arc<Account>,
    client: Map<String, Value>,
}

impl Events {
    pub fn new(accounts: &Accounts, system: &AccountName, front_end: &Arc<FrontEnd>) -> Self {
        let (accounts, system) = (accounts.clone(), system.clone());
        let (began, number) = (SystemTime::now(), AtomicU64::new(0));
        let (cpu_share, documents) = (CpuShare::new(Process::now()), OnceLock::new());
        Self { accounts, system, front_end: front_end.clone(), began, cpu_share, documents, number }
    }

    /// Whether this is the account that is told.
    pub fn is_system(&self, account: &Account) -> bool {
        account.name == self.system
    }

    /// A client has connected. Returns what reports its end; nothing if there is nobody to tell.
    pub fn connected(
        &self,
        account: &Arc<Account>,
        figures: &ConnectionFigures,
        info: &ServerInfo,
    ) -> Option<Guest> {
        self.accounts.find(&self.system)?;
        let known = figures.info(self.front_end.name());
        let guest = Guest { account: account.clone(), client: client(&known, &account.name) };
        account.clients.fetch_add(1, Ordering::Relaxed);
        self.tell_count(account, info);
        let topic = format!("$SYS.ACCOUNT.{}.CONNECT", account.name);
        self.tell(&topic, || {
            self.advisory("client_connect", info, [("client", guest.client.clone().into())])
        });
        Some(guest)
    }

    /// Its connection has ended.
    pub fn disconnected(
        &self,
        guest: &Guest,
        reason: Ended,
        figures: &ConnectionFigures,
        info: &ServerInfo,
    ) {
        guest.account.clients.fetch_sub(1, Ordering::Relaxed);
        self.tell_count(&guest.account, info);
        let topic = format!("$SYS.ACCOUNT.{}.DISCONNECT", guest.account.name);
        self.tell_end(&topic, &guest.client, reason, (figures, info));
    }

    /// A client that claimed to be this user was not let in. (Observed: it counts as a client of
    /// the global account that has left.)
    pub fn refused(&self, user: Option<&str>, figures: &ConnectionFigures, info: &ServerInfo) {
        let mut known = figures.info(self.front_end.name());
        known.user = user.unwrap_or_default().to_owned();
        let client = client(&known, GLOBAL);
        let topic = format!("$SYS.SERVER.{}.CLIENT.AUTH.ERR", info.server_id);
        for topic in [topic, format!("$SYS.ACCOUNT.{GLOBAL}.DISCONNECT")] {
            let reason = Ended::Because("Authorization Violation");
            self.tell_end(&topic, &client, reason, (figures, info));
        }
    }

    /// Lets the system account ask for these documents. The first call counts.
    pub fn has_documents(&self, documents: Documents) {
        let _ = self.documents.set(documents);
    }

    /// Answers a request of the system account to the server. False if it is no such request.
    pub async fn answer(
        &self,
        account: &Account,
        (topic, block, index): (&Topic, &Block, usize),
        info: &ServerInfo,
    ) -> bool {
        if !self.is_system(account) {
            return false;
        }
        let Some(reply_to) = block.reply_topic(index) else { return false };
        let Some(inquiry) = Inquiry::of(topic.as_str(), block.payload(index), info) else {
            return false;
        };
        let answer = match inquiry {
            Inquiry::Statsz => self.statsz(info),
            Inquiry::OfOthers => return true,
            Inquiry::Wrong(why) => self.refusal(400, &why, info),
            Inquiry::Document(path) => self.document(&path, info).await,
        };
        say(account, reply_to, &answer);
        true
    }

    /// Answers a client of this account that asked who it is.
    pub fn say_who(&self, account: &Account, reply_to: &Topic, who: &Value, info: &ServerInfo) {
        say(account, reply_to, &json!({ "server": self.server(info), "data": who }));
    }

    async fn document(&self, path: &str, info: &ServerInfo) -> Value {
        let Some((documents, asked)) = self.documents.get().zip(Asked::new(path)) else {
            return self.refusal(404, "there is no such document here", info);
        };
        let (status, body) = whole(documents(asked).await).await;
        match serde_json::from_slice::<Value>(&body) {
            Ok(mut data) => {
                // In a message nothing else says whether the server is well.
                if path.starts_with("/healthz") {
                    data["status_code"] = status.as_u16().into();
                }
                json!({ "server": self.server(info), "data": data })
            }
            Err(_) => {
                let why = String::from_utf8_lossy(&body);
                self.refusal(status.as_u16(), why.trim_end(), info)
            }
        }
    }

    fn refusal(&self, code: u16, why: &str, info: &ServerInfo) -> Value {
        json!({ "server": self.server(info), "error": { "code": code, "description": why } })
    }

    /// Keeps reporting how the server is: often at first, and then less often.
    pub async fn tell_statsz(&self, info: &ServerInfo) {
        let (first_ms, longest_ms) = NATS_STATSZ_MS;
        let mut pause = Duration::from_millis(first_ms);
        // why: one for each server.
        let mut timer = Timer::after(pause);
        loop {
            (&mut timer).await;
            self.tell(&format!("$SYS.SERVER.{}.STATSZ", info.server_id), || self.statsz(info));
            pause = (pause * 2).min(Duration::from_millis(longest_ms));
            timer.set_after(pause);
        }
    }

    fn statsz(&self, info: &ServerInfo) -> Value {
        let figures = self.front_end.figures();
        let accounts = self.accounts.all();
        let subscriptions = accounts.iter().map(|it| it.broker.stats().subscriptions);
        let process = Process::now();
        let sent = data(figures.messages_out, figures.payload_out);
        let received = data(figures.messages_in, figures.payload_in);
        json!({
            "server": self.server(info),
            "statsz": {
                "start": timestamp(self.began),
                "mem": process.resident_bytes,
                "cores": thread::available_parallelism().map_or(1, usize::from),
                "cpu": self.cpu_share.percent(process),
                "connections": figures.connections,
                "total_connections": figures.accepted,
                "active_accounts": accounts.len(),
                "subscriptions": subscriptions.sum::<usize>(),
                "sent": sent,
                "sent_to_clients": sent,
                "received": received,
                "received_from_clients": received,
                "slow_consumers": figures.slow_consumers,
                "active_servers": 1,
            },
        })
    }

    /// How many clients are in an account.
    fn tell_count(&self, account: &Account, info: &ServerInfo) {
        let clients = account.clients.load(Ordering::Relaxed);
        let topics = ["SERVER.ACCOUNT.{}.CONNS", "ACCOUNT.{}.SERVER.CONNS"];
        for topic in topics.map(|topic| format!("$SYS.{}", topic.replace("{}", &account.name))) {
            self.tell(&topic, || {
                let fields = [
                    ("acc", (*account.name).into()),
                    ("name", (*account.name).into()),
                    ("conns", clients.into()),
                    ("total_conns", clients.into()),
                    ("leafnodes", 0.into()),
                    ("num_subscriptions", account.broker.stats().subscriptions.into()),
                ];
                self.advisory("account_connections", info, fields)
            });
        }
    }

    fn tell_end(
        &self,
        topic: &str,
        client: &Map<String, Value>,
        reason: Ended,
        (figures, info): (&ConnectionFigures, &ServerInfo),
    ) {
        self.tell(topic, || {
            let known = figures.info(self.front_end.name());
            let mut client = client.clone();
            client.insert("stop".to_owned(), timestamp(SystemTime::now()).into());
            // As the server sees it: it has sent what the client has received.
            let fields = [
                ("client", client.into()),
                ("sent", data(known.messages_out, known.bytes_out)),
                ("received", data(known.messages_in, known.bytes_in)),
                ("reason", reason_of(reason).into()),
            ];
            self.advisory("client_disconnect", info, fields)
        });
    }

    /// Tells the system account, if somebody there listens.
    fn tell(&self, topic: &str, event: impl FnOnce() -> Value) {
        let Some(system) = self.accounts.find(&self.system) else { return };
        let Ok(topic) = Topic::literal(topic) else { return };
        if system.broker.has_subscribers(&topic) {
            say(&system, &topic, &event());
        }
    }

    /// An event of this kind, with what all events have.
    fn advisory<const COUNT: usize>(
        &self,
        kind: &str,
        info: &ServerInfo,
        fields: [(&str, Value); COUNT],
    ) -> Value {
        let server = self.server(info);
        let id = format!("{}.{}", &info.server_id[..8.min(info.server_id.len())], server["seq"]);
        let common = [
            ("type", format!("io.nats.server.advisory.v1.{kind}").into()),
            ("id", id.into()),
            ("timestamp", timestamp(SystemTime::now()).into()),
            ("server", server),
        ];
        let fields = fields.into_iter().chain(common);
        fields.map(|(name, value)| (name.to_owned(), value)).collect()
    }

    fn server(&self, info: &ServerInfo) -> Value {
        let number = self.number.fetch_add(1, Ordering::Relaxed) + 1;
        json!({
            "name": info.server_name,
            "host": info.host,
            "id": info.server_id,
            "ver": info.version,
            "jetstream": false,
            "flags": 0,
            "seq": number,
            "time": timestamp(SystemTime::now()),
        })
    }
}

/// A client, as events describe it.
fn client(known: &ConnectionInfo, account: &str) -> Map<String, Value> {
    let start = SystemTime::now().checked_sub(known.age).unwrap_or(SystemTime::UNIX_EPOCH);
    let texts = [
        ("user", &known.user),
        ("name", &known.name),
        ("lang", &known.language),
        ("ver", &known.version),
    ];
    let texts = texts.into_iter().filter(|(_, text)| !text.is_empty());
    let mut client: Map<String, Value> =
        texts.map(|(name, text)| (name.to_owned(), text.as_str().into())).collect();
    client.extend([
        ("start".to_owned(), timestamp(start).into()),
        ("host".to_owned(), known.peer.ip().to_string().into()),
        ("id".to_owned(), known.id.into()),
        ("acc".to_owned(), account.into()),
        ("kind".to_owned(), "Client".into()),
        ("client_type".to_owned(), "nats".into()),
    ]);
    client
}

/// Never waits: a client without room for the event learns that it missed one.
fn say(account: &Account, topic: &Topic, what: &Value) {
    let message = ServerMessage::of(what.to_string());
    let _ = account.broker.publisher().try_publish(topic, message);
}

fn data(messages: u64, bytes: u64) -> Value {
    json!({ "msgs": messages, "bytes": bytes })
}

fn timestamp(time: SystemTime) -> String {
    humantime::format_rfc3339_nanos(time).to_string()
}

/// As nats-server words it.
fn reason_of(reason: Ended) -> &'static str {
    match reason {
        Ended::Quit | Ended::PeerClosed => "Client Closed",
        Ended::Broken => "Read Error",
        Ended::Stuck => "Slow Consumer (Write Deadline)",
        Ended::Quiet => "Stale Connection",
        Ended::SlowConsumer | Ended::Shed => "Slow Consumer (Pending Bytes)",
        Ended::ServerStopped | Ended::Cut => "Server Shutdown",
        Ended::SentAway => "Kicked",
        Ended::Because("Authorization Violation") => "Authentication Failure",
        Ended::Because(text) => text,
    }
}
