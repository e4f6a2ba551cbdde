//! The bounds of the link to a NATS cluster.

/// Messages queued for the hub of a cluster. Why: the bytes are the bound that matters. When hit: a
/// publish waits for [`CLUSTER_WAIT_MS`], and what has no room then is dropped, counted and in the
/// journal.
pub const CLUSTER_QUEUE_MESSAGES: usize = 1 << 18;

/// Bytes queued for the hub of a cluster. Why: a second of a fast network. When hit: as for
/// [`CLUSTER_QUEUE_MESSAGES`].
pub const CLUSTER_QUEUE_BYTES: usize = 64 << 20;

/// Milliseconds that a publish waits for a full link. Why: a hiccup of the hub; a longer one must
/// not hold up publishers whose subscribers are all here. When hit: the message is dropped for the
/// cluster, and nobody waits for the link until its queue has drained to half.
pub const CLUSTER_WAIT_MS: u64 = 5;

/// Bytes rendered for a hub that the kernel has not taken yet. Fixed. Why: one link carries what
/// thousands of clients publish.
pub const CLUSTER_WRITE_BUFFER_BYTES: usize = 256 * 1024;

/// Milliseconds in which a hub has to take at least one byte of what waits for it. Why: a hub that
/// hangs is left for another. When hit: the link is closed and made again.
pub const CLUSTER_WRITE_DEADLINE_MS: u64 = 10_000;

/// Bytes of a hub's control line. Fixed. Why: `INFO` lists the hubs of a cluster and all
/// permissions. When hit: the link is closed and made again.
pub const CLUSTER_CONTROL_LINE_BYTES: usize = 1 << 20;

/// Bytes of a message from a hub. Fixed. Why: no nats-server allows more. When hit: the link is
/// closed and made again.
pub const CLUSTER_PAYLOAD_BYTES: usize = 64 << 20;

/// Bytes of the words on a line that a hub is sent. Fixed. Why: it closes the link for a line of
/// more than 64 KiB. When hit: the message is dropped and counted.
pub const CLUSTER_LINE_BYTES: usize = 60 * 1024;

/// Patterns in which a hub can be interested. Fixed. Why: each costs a few hundred bytes. When hit:
/// further ones get nothing from here.
pub const CLUSTER_INTEREST_MAX: usize = 500_000;

/// Names of links in figures and logs, and so the largest number of links. Fixed. Why: labels of
/// metrics are words of our source. When hit: the settings are refused.
pub const CLUSTER_TITLES: [&str; 16] = [
    "cluster",
    "cluster2",
    "cluster3",
    "cluster4",
    "cluster5",
    "cluster6",
    "cluster7",
    "cluster8",
    "cluster9",
    "cluster10",
    "cluster11",
    "cluster12",
    "cluster13",
    "cluster14",
    "cluster15",
    "cluster16",
];

/// Hubs that are dialled in turn. Fixed. When hit: further ones of the cluster are not dialled.
pub const CLUSTER_ADDRESSES_MAX: usize = 64;

/// Milliseconds in which a hub has to be reached, with its name looked up. Fixed. When hit: the
/// next hub is dialled.
pub const CLUSTER_DIAL_MS: u64 = 5_000;

/// Milliseconds from the connection to the hub's answer to `CONNECT`. Fixed. Why: links over
/// satellites take more than nats-server's second. When hit: the next hub is dialled.
pub const CLUSTER_JOIN_MS: u64 = 8_000;

/// First and longest pause in milliseconds before a hub is dialled again; half of it is random.
/// Fixed. Why: another hub of the cluster is usually there, so the first attempt comes soon; and a
/// thousand servers that lost theirs do not all come at once.
pub const CLUSTER_BACK_OFF_MS: (u64, u64) = (100, 5_000);

/// Milliseconds before a hub that found a loop, or that has our name, is dialled again. Fixed:
/// nats-server's.
pub const CLUSTER_LOOP_DELAY_MS: u64 = 30_000;

/// Milliseconds before a hub that wants a later version is dialled again. Fixed: nats-server's.
pub const CLUSTER_VERSION_DELAY_MS: u64 = 5_000;

/// Milliseconds before a hub that knows another server of our name is dialled again. Fixed. Why:
/// each would throw the other out.
pub const CLUSTER_DUPLICATE_DELAY_MS: u64 = 60_000;

/// Milliseconds of silence after which a hub is sent a `PING`. Fixed. When hit: after
/// [`CLUSTER_PING_MAX`] without an answer the link is closed and made again.
pub const CLUSTER_PING_INTERVAL_MS: u64 = 10_000;

/// `PING`s that a hub may leave unanswered. Fixed: nats-server's.
pub const CLUSTER_PING_MAX: u32 = 2;

/// Bytes of messages after which the hub is asked how far it is. Fixed. Why: what is not confirmed
/// when a link breaks is what may be lost. When hit: a `PING` is sent.
pub const CLUSTER_CONFIRM_BYTES: usize = 256 * 1024;

/// Milliseconds after which the hub is asked how far it is, if it was sent messages. Fixed. When
/// hit: a `PING` is sent.
pub const CLUSTER_CONFIRM_MS: u64 = 250;

/// Topics on which messages are numbered, or heard with numbers. Fixed. Why: each costs one or two
/// hundred bytes. When hit: all are forgotten and counted anew, and subscriptions are told a gap of
/// unknown size.
pub const CLUSTER_NUMBERED_TOPICS: usize = 1 << 16;

/// How far a number may be behind the last and still be that of an old message. Fixed. Why: anybody
/// at the hub can forge a large number. When hit: the sender's count is taken from there on, and
/// subscriptions are told a gap of unknown size.
pub const CLUSTER_NUMBERS_BACK: u64 = 1 << 16;

/// Bytes of the name of a server that numbers its messages. Fixed. Why: it is kept with the
/// numbers. When hit: the message counts as one without a number.
pub const CLUSTER_SENDER_BYTES: usize = 255;
