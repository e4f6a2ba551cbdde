//! The settings of a NATS server.

use super::accounts::{AccountName, SYSTEM};
use super::authentication::Authentication;
use super::policy::PolicyBounds;
use crate::codec::nats::ParserLimits;
use crate::connection::ConnectionLimits;
use crate::limits;
use crate::transport::{Identity, Idle, WriterSettings};
use fanfare::WhenFull;
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;

/// Where nats-server names its version of Go.
pub(super) const IN_RUST: &str = "none: this is Fanfare, in Rust";

/// Every bound and interval of a NATS server. The default is what [`limits`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatsSettings {
    /// The server's name in `INFO`.
    pub server_name: String,
    /// The nats-server that this one behaves like.
    pub version: NatsVersion,
    /// Connections in all and per address.
    pub connections: ConnectionLimits,
    /// Bytes of a message and of a control line.
    pub parser: ParserLimits,
    /// Subscriptions of one connection.
    pub subscriptions: usize,
    /// Subscriptions of all connections together. Accounts share them out.
    pub total_subscriptions: usize,
    /// A client that is silent for this long is sent a `PING`.
    pub ping_interval: Duration,
    /// `PING`s that a client may leave unanswered.
    pub ping_max: u32,
    /// A client has to authenticate in this time, where that is required.
    pub authentication_timeout: Duration,
    /// Messages queued for one connection.
    pub pending_messages: usize,
    /// Bytes queued for one connection.
    pub pending_bytes: usize,
    /// How long a publish waits for connections whose queue is full, before they count as slow.
    pub wait: Duration,
    /// The treatment of a slow connection.
    pub slow_consumer: SlowConsumer,
    /// A client has to take at least one byte of what waits for it in this time.
    pub write_deadline: Duration,
    /// The credentials with which clients may connect.
    pub authentication: Authentication,
    /// The account that is told of connects and disconnects.
    pub system_account: AccountName,
    /// The TLS settings; `None` for no TLS.
    pub tls: Option<TlsSettings>,
    /// Where clients connect by WebSocket; `None` for nowhere.
    pub web_socket: Option<WebSocketSettings>,
}

/// The listener for WebSockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebSocketSettings {
    /// Where it listens.
    pub address: SocketAddr,
    /// The origins of the pages that may use it, besides its own; `*` for all.
    pub origins: Vec<String>,
    /// The certificates and key; `None` for no TLS.
    pub tls: Option<Identity>,
}

/// The nats-server to behave like. Clients turn on what a server of that version has, so
/// it has to fit what this one does: the client protocol with headers and no-responders, and no
/// JetStream (which is no matter of versions).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum NatsVersion {
    /// As Debian 12 has it.
    V2_9,
    /// Names the subject to which nobody listens, and says in a second `INFO`, after the first
    /// `PONG`, that the client has connected.
    #[default]
    V2_15,
}

impl NatsVersion {
    /// As `INFO` has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V2_9 => "2.9.10",
            Self::V2_15 => "2.15.1",
        }
    }
}

/// How the server speaks TLS: it sends `INFO` first, as nats-server does, and then shakes hands,
/// unless [`first`](Self::first) says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// The server's certificates and key.
    pub identity: Identity,
    /// Whether clients without TLS are refused.
    pub is_required: bool,
    /// The handshake must be over within this time, which does not count against the time to
    /// authenticate.
    pub handshake_timeout: Duration,
    /// Whether clients have to show a certificate.
    pub verifies_clients: bool,
    /// Whether `INFO` or the handshake comes first.
    pub first: HandshakeFirst,
}

/// Whether the handshake comes before `INFO`, for clients that say nothing before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HandshakeFirst {
    /// `INFO` comes first.
    #[default]
    Never,
    /// The handshake comes first.
    Always,
    /// The handshake comes first if the client begins it in this time.
    Within(Duration),
}

/// The treatment of a connection whose queue stays full for longer than a publish waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SlowConsumer {
    /// Send it `-ERR 'Slow Consumer'` and close it, as nats-server does.
    #[default]
    Disconnect,
    /// Drop messages, and tell it how many in a header of the next message and on an advisory
    /// topic.
    Drop,
}

impl Default for NatsSettings {
    fn default() -> Self {
        Self {
            server_name: "fanfare".to_owned(),
            version: NatsVersion::default(),
            connections: ConnectionLimits::default(),
            parser: ParserLimits::default(),
            subscriptions: limits::NATS_SUBSCRIPTIONS,
            total_subscriptions: limits::NATS_TOTAL_SUBSCRIPTIONS,
            ping_interval: Duration::from_millis(limits::NATS_PING_INTERVAL_MS),
            ping_max: limits::NATS_PING_MAX,
            authentication_timeout: Duration::from_millis(limits::NATS_AUTHENTICATION_TIMEOUT_MS),
            pending_messages: limits::NATS_PENDING_MESSAGES,
            pending_bytes: limits::NATS_PENDING_BYTES,
            wait: Duration::from_millis(limits::NATS_WAIT_MS),
            slow_consumer: SlowConsumer::default(),
            write_deadline: Duration::from_millis(limits::NATS_WRITE_DEADLINE_MS),
            authentication: Authentication::default(),
            system_account: SYSTEM.into(),
            tls: None,
            web_socket: None,
        }
    }
}

/// The time limits of a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FirstTimes {
    /// The time within which the client must authenticate.
    pub connect_within: Option<Duration>,
    /// How long after its `CONNECT` it is sent a `PING`, whatever it does.
    pub ping_after: Option<Duration>,
}

impl NatsSettings {
    pub(super) fn when_full(&self) -> WhenFull {
        match self.slow_consumer {
            SlowConsumer::Disconnect => WhenFull::Disconnect { after: self.wait },
            SlowConsumer::Drop => WhenFull::Wait(self.wait),
        }
    }

    pub(super) fn policy_bounds(&self) -> PolicyBounds {
        PolicyBounds {
            queue_messages: self.pending_messages,
            queue_bytes: self.pending_bytes,
            wait: self.wait,
            when_full: self.when_full(),
        }
    }

    /// The fields of nats-server's `/varz` for these settings, in its units.
    pub(super) fn facts(&self) -> Vec<(&'static str, Value)> {
        let nanoseconds = |time: Duration| Value::from(time.as_nanos() as u64);
        vec![
            ("version", self.version.as_str().into()),
            ("proto", 1.into()),
            ("go", IN_RUST.into()),
            ("auth_required", self.authentication.must_be_given().into()),
            ("tls_required", self.tls.as_ref().is_some_and(|tls| tls.is_required).into()),
            ("system_account", (*self.system_account).into()),
            ("auth_timeout", self.authentication_timeout.as_secs_f64().into()),
            ("ping_interval", nanoseconds(self.ping_interval)),
            ("ping_max", self.ping_max.into()),
            ("tls_timeout", self.tls_timeout().as_secs_f64().into()),
            ("max_control_line", self.parser.control_line_bytes.into()),
            ("max_pending", self.pending_bytes.into()),
            ("max_subscriptions", self.subscriptions.into()),
            ("write_deadline", nanoseconds(self.write_deadline)),
        ]
    }

    fn tls_timeout(&self) -> Duration {
        let default = Duration::from_millis(limits::NATS_TLS_HANDSHAKE_MS);
        self.tls.as_ref().map_or(default, |tls| tls.handshake_timeout)
    }

    pub(super) fn writer(&self) -> WriterSettings {
        WriterSettings {
            buffer_bytes: limits::NATS_WRITE_BUFFER_BYTES,
            deadline: self.write_deadline,
            idle: Idle {
                interval: self.ping_interval,
                misses: self.ping_max,
                answer_required: true,
            },
        }
    }

    pub(super) fn first_times(&self) -> FirstTimes {
        let first_ping = Duration::from_millis(limits::NATS_FIRST_PING_MS);
        FirstTimes {
            connect_within: self
                .authentication
                .must_be_given()
                .then_some(self.authentication_timeout),
            ping_after: (self.ping_interval > first_ping).then_some(first_ping),
        }
    }
}
