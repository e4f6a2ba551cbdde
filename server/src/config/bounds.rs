//! The most memory that clients can make the server hold with its settings: `--print-bounds`.

use super::Config;
use crate::cluster::ClusterSettings;
use crate::connection::ConnectionLimits;
use crate::limits;
use fanfare::limits::{TOPIC_BYTES_MAX, TOPIC_TOKENS_MAX};
use std::fmt::Write;

/// One line of the answer: what a front-end can be made to hold.
struct Bound {
    name: &'static str,
    bytes: u64,
    how: String,
}

impl Config {
    /// The bounds of each front-end that listens, and of all, as text.
    pub fn bounds(&self) -> String {
        let mut bounds = Vec::new();
        bounds.extend(self.chat_address.map(|_| self.chat_bound()));
        bounds.extend(self.nats_address.map(|_| self.nats_bound()));
        bounds.extend(self.nats.web_socket.as_ref().map(|_| self.nats_web_socket_bound()));
        bounds.extend(self.push.address.map(|_| self.push_bound()));
        bounds.extend(self.push.udp_address.map(|_| self.datagram_bound()));
        bounds.extend(self.push.http_address.map(|_| self.push_http_bound()));
        bounds.extend(self.clusters.iter().map(cluster_bound));
        bounds.push(history_bound(self));
        let all = bounds.iter().map(|bound| bound.bytes).sum();
        let mut text = String::from(
            "The most memory that clients can take, all at their limits at the same time:\n",
        );
        for Bound { name, bytes, how } in &bounds {
            let _ = writeln!(text, "{name:<14} {:>12}  {how}", mib(*bytes));
        }
        let _ = writeln!(text, "{:<14} {:>12}", "all", mib(all));
        let _ = writeln!(
            text,
            "{:<14} {:>12}  --memory: near it the heaviest connections that do not read are ended",
            "budget",
            mib(self.memory_bytes)
        );
        let _ = writeln!(text, "Subscriptions, of which each front-end has its own:");
        for (name, subscriptions) in self.subscriptions() {
            let _ = writeln!(text, "{name:<14} {subscriptions:>12}");
        }
        text
    }

    /// How many subscriptions and mailboxes each front-end can have at the same time. The broker
    /// has room for all of them, so that no front-end takes another's.
    pub fn subscriptions(&self) -> Vec<(&'static str, usize)> {
        let (chat, nats, push) = (&self.chat, &self.nats, &self.push);
        let of = |connections: ConnectionLimits, each| connections.total.saturating_mul(each);
        let of_person = chat.directory.rooms_per_person + 1;
        let nats_clients = of(nats.connections, 1 + usize::from(nats.web_socket.is_some()));
        let of_nats = nats.total_subscriptions.saturating_add(nats_clients);
        // Its groups, its own and everybody's topic, and its mailbox.
        let of_push_client = push.settings.groups + 3;
        let front_ends = [
            self.chat_address.map(|_| ("chat", of(chat.connections, of_person))),
            self.nats_address.map(|_| ("nats", of_nats)),
            push.address.map(|_| ("push", of(push.settings.connections, of_push_client))),
            push.http_address.map(|_| ("push-http", of(push.http_connections, of_push_client))),
        ];
        // Interest of the cluster, and the link's mailbox.
        let links = self.clusters.iter().map(|_| ("cluster", limits::CLUSTER_INTEREST_MAX + 8));
        front_ends.into_iter().flatten().chain(links).collect()
    }

    fn chat_bound(&self) -> Bound {
        let chat = &self.chat;
        let queues = chat.directory.rooms_per_person as u64 + 1;
        let each = queues * chat.queue_bytes as u64
            + connection_bytes(chat.writer.buffer_bytes, chat.line_bytes);
        of_connections(
            "chat",
            chat.connections,
            each,
            &format!("{queues} queues of {} bytes, buffers", chat.queue_bytes),
        )
    }

    fn nats_bound(&self) -> Bound {
        let nats = &self.nats;
        let each = self.nats_client_bytes();
        let how = format!("queues of 2 x {} bytes, buffers", nats.pending_bytes);
        let mut bound = of_connections("nats", nats.connections, each, &how);
        let most = nats.connections.total.saturating_mul(nats.subscriptions);
        let subscriptions = most.min(nats.total_subscriptions) as u64;
        let each = nats_subscription_bytes(nats.parser.control_line_bytes);
        bound.bytes += subscriptions * each;
        let _ = write!(bound.how, "; {subscriptions} subscriptions, each {each} bytes");
        bound
    }

    /// Without the subscriptions, which are counted with those of clients by TCP.
    fn nats_web_socket_bound(&self) -> Bound {
        // The WebSocket's library keeps another copy of what is read.
        let read_again = 2 * (self.nats.parser.payload_bytes + limits::WEB_SOCKET_READ_BYTES);
        let each = self.nats_client_bytes() + (read_again + 2 * limits::HTTP_HEAD_BYTES) as u64;
        let what = "as a client by TCP, and the WebSocket's own buffers";
        of_connections("nats-websocket", self.nats.connections, each, what)
    }

    fn nats_client_bytes(&self) -> u64 {
        let nats = &self.nats;
        // Twice, since subscriptions with a policy of their own have queues of their own.
        2 * nats.pending_bytes as u64
            + connection_bytes(limits::NATS_WRITE_BUFFER_BYTES, nats.parser.payload_bytes)
    }

    fn push_bound(&self) -> Bound {
        let push = &self.push.settings;
        let how = format!("a queue of {} bytes, buffers", push.queue_bytes);
        of_connections("push", push.connections, self.push_client_bytes(), &how)
    }

    /// One client of pushes, by TCP or WebSocket.
    fn push_client_bytes(&self) -> u64 {
        let push = &self.push.settings;
        let subscriptions = (push.groups as u64 + 2) * SUBSCRIPTION_BYTES;
        let unacknowledged = (limits::PUSH_UNACKNOWLEDGED * (limits::PUSH_ID_BYTES + 24)) as u64;
        let own = connection_bytes(push.writer.buffer_bytes, push.line_bytes)
            + subscriptions
            + unacknowledged;
        push.queue_bytes as u64 + own + RENDERED_PUSH_BYTES
    }

    fn datagram_bound(&self) -> Bound {
        let waiting =
            self.push.settings.at_once as u64 * (limits::PUSH_PAYLOAD_BYTES as u64 + TASK_BYTES);
        let signatures = limits::PUSH_REMEMBERED_SIGNATURES as u64 * 64;
        let acks = (limits::PUSH_ACKS_TRACKED * (limits::PUSH_ID_BYTES + 160)) as u64;
        let ack_waits = self.push.settings.ack_waits as u64 * TASK_BYTES;
        // One batch whose signatures a thread checks, and perhaps one that timed out before.
        let batches = 2 * (limits::DATAGRAMS_PER_TURN * (limits::PUSH_DATAGRAM_BYTES + 64)) as u64;
        let how = "pushes that wait, remembered signatures, tracked acknowledgements".to_owned();
        Bound { name: "push-udp", bytes: waiting + signatures + acks + ack_waits + batches, how }
    }

    fn push_http_bound(&self) -> Bound {
        let push = &self.push.settings;
        // A request with a batch, or a stream of events, or a WebSocket, whose library keeps
        // another copy of what is read.
        let batch = (2 * limits::PUSH_BATCH_BYTES) as u64;
        let events =
            push.queue_bytes as u64 + 2 * (push.writer.buffer_bytes as u64 + RENDERED_PUSH_BYTES);
        let socket =
            self.push_client_bytes() + 2 * (push.line_bytes + limits::WEB_SOCKET_READ_BYTES) as u64;
        let each = batch.max(events).max(socket) + limits::HTTP_HEAD_BYTES as u64 * 2 + TASK_BYTES;
        of_connections(
            "push-http",
            self.push.http_connections,
            each,
            "a batch of pushes, a stream of events, or a WebSocket",
        )
    }
}

fn cluster_bound(cluster: &ClusterSettings) -> Bound {
    let interest = limits::CLUSTER_INTEREST_MAX as u64 * SUBSCRIPTION_BYTES;
    let buffers = (limits::CLUSTER_PAYLOAD_BYTES + limits::CLUSTER_WRITE_BUFFER_BYTES) as u64;
    let how = format!(
        "a queue of {} bytes, {} patterns of the hub, buffers",
        cluster.queue_bytes,
        limits::CLUSTER_INTEREST_MAX
    );
    Bound { name: "cluster", bytes: cluster.queue_bytes as u64 + interest + buffers, how }
}

/// The last push rendered, which may go beyond the write buffer. In JSON a byte can become six.
const RENDERED_PUSH_BYTES: u64 = 6 * limits::PUSH_PAYLOAD_BYTES as u64;

/// A task and what it owns: measured about 5 KiB.
const TASK_BYTES: u64 = 8 * 1024;

/// A subscription of a push client in the router, with its pattern.
const SUBSCRIPTION_BYTES: u64 = 1_024 + TOPIC_BYTES_MAX as u64;

/// A NATS subscription with the longest names. A name that is not UTF-8 is kept as text, in four
/// characters a byte.
fn nats_subscription_bytes(control_line_bytes: usize) -> u64 {
    let (itself, each_token) = limits::NATS_SUBSCRIPTION_BYTES;
    let subject = each_token * TOPIC_TOKENS_MAX + 2 * TOPIC_BYTES_MAX;
    (itself + subject + 4 * control_line_bytes) as u64
}

/// Memory that each connection takes, whatever its protocol: its task, its buffers, one message
/// being read, and its answers.
fn connection_bytes(write_buffer_bytes: usize, message_bytes: usize) -> u64 {
    // The last piece rendered may go beyond the write buffer.
    let buffers =
        write_buffer_bytes + 2 * message_bytes + limits::READ_BUFFER_BYTES.1 + limits::REPLY_BYTES;
    buffers as u64 + TASK_BYTES
}

fn of_connections(
    name: &'static str,
    connections: ConnectionLimits,
    each: u64,
    what: &str,
) -> Bound {
    let connections = connections.total as u64;
    Bound {
        name,
        bytes: connections * each,
        how: format!("{connections} connections, each {} ({what})", mib(each)),
    }
}

/// Topics share one bound, however many front-ends keep histories.
fn history_bound(config: &Config) -> Bound {
    let topics = fanfare::limits::HISTORY_TOPICS_MAX as u64;
    let message_bytes = (limits::PUSH_PAYLOAD_BYTES + 256) as u64;
    let of_push = (config.push.settings.replay as u64 * message_bytes)
        .min(fanfare::limits::HISTORY_BYTES_MAX as u64);
    let of_chat = (config.chat.session.history_lines * (config.chat.line_bytes + 256)) as u64;
    let each = of_push.max(of_chat.min(fanfare::limits::HISTORY_BYTES_MAX as u64));
    Bound {
        name: "history",
        bytes: topics * each,
        how: format!("{topics} topics, each {}", mib(each)),
    }
}

fn mib(bytes: u64) -> String {
    format!("{:.2} MiB", bytes as f64 / f64::from(1 << 20))
}
