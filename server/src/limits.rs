//! What a peer on the network can make the server hold, and how long the server waits for a peer.
//!
//! Each bound is a default that the configuration can change, unless its comment says "fixed".
//! Bounds cost nothing until they are used, because nothing is allocated ahead. What the broker
//! itself holds is in [`fanfare::limits`].

mod chat;
mod cluster;
mod nats;
mod push;

pub use chat::*;
pub use cluster::*;
pub use nats::*;
pub use push::*;
use std::time::Duration;

// ---- Connections ----

/// Connections of one listener. Why: at about 20 KiB each they fit into the memory of a small
/// machine. When hit: a new connection is told so in its own protocol and closed; nobody else
/// notices.
pub const MAX_CONNECTIONS: usize = 10_000;

/// Connections from one address (IPv6: from one /64, which is what one subscriber line gets). Why:
/// one host cannot take all the places, and yet a load test or a proxy can bring 5,000. When hit:
/// as for [`MAX_CONNECTIONS`].
pub const MAX_CONNECTIONS_PER_ADDRESS: usize = 6_000;

/// Connections that the kernel holds before the server accepts them. Fixed. Why: after a restart
/// everybody comes back at once. When hit: the kernel makes the peer try again after a second.
pub const LISTEN_BACKLOG: i32 = 4_096;

/// File descriptors kept for everything but the connections of a protocol: listeners, files, pipes,
/// the poller, and the admin listener's connections; at most half of what the system allows. Fixed.
/// When hit: never, because the front-ends share what is left at start.
pub const RESERVED_FILE_DESCRIPTORS: u64 = 64 + ADMIN_CONNECTIONS as u64;

/// First and longest pause in milliseconds after `accept` failed for lack of descriptors or memory.
/// Fixed. Why: trying again at once burns a core, and a peer does not notice a second. When hit:
/// the pause stays this long until a connection can be accepted.
pub const ACCEPT_BACK_OFF_MS: (u64, u64) = (10, 1_000);

/// Connections accepted in one go before other tasks get their turn. Fixed. When hit: the listener
/// yields once.
pub const ACCEPTS_PER_TURN: usize = 64;

/// Milliseconds for which a closed connection's peer can still fetch the last bytes, while its own
/// are discarded. Fixed. Why: the kernel throws our goodbye away if there is unread input at the
/// close. When hit: the connection is closed all the same.
pub const LINGER_MS: u64 = 1_000;

/// Milliseconds for goodbyes and unsent messages when the server stops. Why: most of what is queued
/// reaches a live reader in less. When hit: what is left is counted, reported and given up.
pub const GOODBYE_MS: u64 = 5_000;

/// Milliseconds between the notice that the server is going to stop and the first connection that
/// it closes. Why: nats-server's default.
pub const LAME_DUCK_GRACE_MS: u64 = 10_000;

/// Milliseconds over which each front-end of a server that is going to stop closes its connections
/// one by one, so that they do not all reach another server at once. Why: nats-server's default.
/// When hit: the server stops.
pub const LAME_DUCK_DURATION_MS: u64 = 120_000;

/// Bytes a second that a client must read for publishers to keep to its pace when its queue is
/// full. Why: whoever reads is kept, and yet a client that takes a byte now and then cannot hold up
/// all the others. When a client reads less: it is waited for no longer than its front-end's wait,
/// and then misses messages or is disconnected.
pub const SLOWEST_READER_BYTES: u32 = 256 << 10;

/// Bytes that Linux keeps for a peer beyond what it has sent. Fixed. Why: a reader of a megabyte
/// a second then shows progress every eighth of a second; with the kernel's own bound of
/// megabytes it takes seconds, as if the peer were stuck. When hit: the rest waits here, where it
/// is counted.
pub const UNSENT_BYTES: u32 = 128 << 10;

// ---- Memory ----

/// The budget in bytes where the system does not tell how much memory there is. When hit: as for
/// any budget, see [`MEMORY_STUCK_MS`].
pub const MEMORY_BYTES_UNKNOWN: u64 = 1 << 30;

/// Bytes of addresses that the process takes beside what it allocates: for code, the stacks of its
/// threads, and what the allocator sets aside. Fixed. Why: `ulimit -v` counts them too, and an idle
/// server takes 500 MB. When hit: the budget is [`MEMORY_BYTES_MIN`].
pub const ADDRESSES_BESIDE_BYTES: u64 = 512 << 20;

/// Fewest bytes of the memory budget. Fixed. Why: the program needs some of it for itself. When
/// hit: the setting is refused.
pub const MEMORY_BYTES_MIN: u64 = 16 << 20;

/// Shortest and longest time in milliseconds between two looks at the memory. Fixed. Why: a look
/// takes up to half a millisecond, and nobody allocates half of a machine's memory in a quarter of
/// a second. However many are due, looking takes no more than a tenth of a processor.
pub const MEMORY_LOOK_MS: (u64, u64) = (2, 250);

/// Bytes a millisecond by which memory may grow: what is left, divided by this, is the time to the
/// next look. Fixed. Why: 1 GiB a second is more than clients can cause with small operations, and
/// large ones are held back by [`MEMORY_PER_BYTE_READ`].
pub const MEMORY_GROWTH_BYTES_PER_MS: u64 = 1 << 20;

/// Bytes of memory reckoned for each byte that is read between two looks. Fixed. Why: a message is
/// kept as it came, in its rendered form, and in the buffers of its readers. When what is left is
/// spent: nobody is read from until the next look.
pub const MEMORY_PER_BYTE_READ: u64 = 4;

/// Bytes that may be read between two looks, however short memory is. Fixed. Why: where nothing can
/// be freed, the server still serves, at 32 MB a second.
pub const MEMORY_READ_BYTES_MIN: u64 = 64 << 10;

/// Milliseconds after which a connection that takes nothing of what waits for it is stuck. Fixed.
/// Why: a reader of 256 KiB a second shows progress twice in that time. When hit: if the memory
/// budget is nearly used up, the heaviest of them are ended; at the budget, histories are
/// forgotten, and then the heaviest of all connections are ended.
pub const MEMORY_STUCK_MS: u64 = 1_000;

/// Fewest bytes that a connection holds that is ended because memory is short, for one that is
/// stuck and for one that is not. Fixed. Why: every connection that reads may have that much on its
/// way.
pub const MEMORY_SHED_BYTES_MIN: (u64, u64) = (128 << 10, 512 << 10);

/// Milliseconds for which those that were ended may take to be gone. Fixed. Why: before that it is
/// not known how many more have to go. When hit: more are ended.
pub const MEMORY_TEAR_DOWN_MS: u64 = 1_000;

// ---- Reading ----

/// First and largest size of a connection's read buffer in bytes. It grows while reads fill it.
/// Fixed. Why: 5,000 quiet connections must cost little, while a busy one should be read in large
/// pieces: 256 KiB cost up to a tenth less processor time than 64 KiB.
/// When hit: a read returns that much, and the rest waits in the kernel.
pub const READ_BUFFER_BYTES: (usize, usize) = (2 * 1024, 256 * 1024);

/// Largest read in bytes of a connection whose bytes gather. Fixed. Why: the window of the peer has
/// to close now and then. When hit: the rest waits in the kernel.
pub const READ_GATHERED_BYTES: usize = 64 * 1024;

/// Reads of one connection without a pause before other tasks get their turn; one that fills the
/// largest read buffer is worth as many. Fixed. Why: a flood on one connection must not keep the
/// others from a core, and whoever writes what it brought finds that still in the core's cache: a
/// sixth less processor time with 16 floods. When hit: the reader yields once.
pub const READS_PER_TURN: u8 = 4;

/// How long one connection's operations run before other tasks get their turn. Fixed. Why: one read
/// can hold thousands of operations, and some of them take milliseconds. When hit: the connection
/// yields once, between two operations.
pub const READER_TURN: Duration = Duration::from_millis(1);

/// Microseconds for which bytes gather before a reader reads on. Fixed. Why: at the rates at which
/// they gather at all this brings a full read, and nobody notices half a millisecond. When hit: the
/// reader reads.
pub const READ_GATHER_US: u64 = 500;

/// Bytes a millisecond from which a connection counts as a stream, whose bytes may gather. Fixed.
/// Why: this is 50,000 small messages a second; a slower sender is read as soon as something comes.
pub const READ_GATHER_BYTES_PER_MS: u32 = 8 * 1024;

/// Bytes of a read from which a stream is read as it comes. Fixed. Why: larger reads gain nothing.
pub const READ_GATHER_PIECE_BYTES: u32 = 8 * 1024;

/// Microseconds for which a connection is read as it comes once gathering has slowed it down.
/// Fixed. Why: its peer waits for answers, and each new attempt costs it a few milliseconds.
pub const READ_GATHER_REST_US: u32 = 1_000_000;

// ---- Writing ----

/// Bytes rendered for a peer that the kernel has not taken yet; the last piece may go beyond. Why:
/// one write carries hundreds of lines, and 1,000 stuck readers hold only 64 MiB. When hit: nothing
/// more is taken from the peer's queues, which fill up to their own bounds and then drop messages,
/// on the books, until the peer reads again.
pub const WRITE_BUFFER_BYTES: usize = 64 * 1024;

/// Writes of one connection without a pause before other tasks get their turn. Fixed. When hit: the
/// writer yields once.
pub const WRITES_PER_TURN: usize = 8;

/// Pieces that one write takes. Fixed. Why: more gain nothing. When hit: the writer writes before
/// it takes more.
pub const WRITE_SLICES: usize = 64;

/// Milliseconds in which a TLS handshake has to be complete. Fixed. When hit: the connection is
/// closed.
pub const TLS_HANDSHAKE_MS: u64 = 10_000;

/// Milliseconds in which a trusted proxy has to send its PROXY header. Fixed. Why: it is the first
/// packet that a proxy sends. When hit: the connection is closed, and the journal says why.
pub const PROXY_HEADER_MS: u64 = 10_000;

/// Bytes of a PROXY header. Fixed. Why: twice what proxies send, with the details of TLS. When hit:
/// the connection is closed, and the journal says why.
pub const PROXY_HEADER_BYTES: usize = 1_024;

/// Bytes encrypted before the kernel has taken the ones before them. Fixed. Why: that is as much as
/// one write carries. When hit: no more is encrypted.
pub const TLS_BUFFER_BYTES: usize = 64 * 1024;

/// Milliseconds in which a peer has to take at least one byte of what waits for it. Why: a person
/// may suspend a terminal for a while, but a stuck program need not keep its place. When hit: the
/// connection is closed.
pub const WRITE_DEADLINE_MS: u64 = 60_000;

/// Milliseconds of silence after which a peer is pinged. Why: address translators forget quiet
/// connections after a few minutes. When hit: the peer is sent its protocol's ping.
pub const IDLE_MS: u64 = 120_000;

/// Pings without a sign of life after which a peer is disconnected. When hit: the connection is
/// closed.
pub const IDLE_MISSES: u32 = 3;

/// Bytes of the log that wait to be read. Fixed. When hit: further lines are discarded and counted;
/// the server never waits for its log.
pub const LOG_BYTES: usize = 1024 * 1024;

/// Events that are logged in one window of [`LOGGED_EVENTS_MS`]. Fixed. Why: a crowd that comes or
/// goes must not flood the log. When hit: one line says so, and the others are in the journal
/// alone.
pub const LOGGED_EVENTS: u32 = 64;

/// The length of that window in milliseconds. Fixed.
pub const LOGGED_EVENTS_MS: u64 = 10_000;

// ---- Tasks ----

/// Milliseconds that tasks have to end once they are asked to. Fixed. Why: each needs one turn of
/// its runtime, unless it blocks a thread. When hit: nobody waits any longer, and the report names
/// them.
pub const TASK_END_MS: u64 = 1_000;

/// Milliseconds between two looks of the watchdog at the number of tasks. Fixed.
pub const WATCHDOG_LOOK_MS: u64 = 10_000;

/// Tasks beyond what the connections explain from which the watchdog warns. Fixed. Why: more than
/// the few that end a little after their connection, and few enough to report a leak in its first
/// megabyte. When hit: one warning in the log.
pub const WATCHDOG_TASKS: usize = 256;

/// Shortest time in milliseconds between two warnings of the watchdog. Fixed. When hit: it waits,
/// and its next warning covers the time between.
pub const WATCHDOG_REPEAT_MS: u64 = 600_000;

// ---- HTTP and the admin listener ----

/// Milliseconds in which a request's head has to arrive, and for which an HTTP connection may be
/// idle. Why: a program sends its head at once; one that sends it byte by byte only wants to occupy
/// a place. When hit: the connection is closed.
pub const HTTP_HEAD_MS: u64 = 10_000;

/// Milliseconds in which an HTTP client has to take at least one byte of its answer. When hit: the
/// connection is closed.
pub const HTTP_WRITE_DEADLINE_MS: u64 = 10_000;

/// Milliseconds for which a request is still worked on when its sender will send nothing more. Why:
/// a sender that waits for the answer looks like one that has left. When hit: the request is
/// dropped.
pub const HTTP_HALF_CLOSED_MS: u64 = 5_000;

/// Bytes of a request's head. Fixed. Why: twice as much as browsers send. When hit: the request is
/// answered 431.
pub const HTTP_HEAD_BYTES: usize = 16 * 1024;

/// Headers of a request. Fixed. When hit: the request is answered 431.
pub const HTTP_HEADERS: usize = 64;

/// Bytes read from an HTTP connection at once, into a buffer on the stack. Fixed. Why: a head fits,
/// and bodies are small. When hit: the rest is read next.
pub const HTTP_READ_BYTES: usize = 4 * 1024;

/// Connections of the admin listener. Fixed. Why: a team with the dashboard open, which takes up to
/// two for each tab, its tools, and a scraper. When hit: a new connection is answered 503 and
/// closed.
pub const ADMIN_CONNECTIONS: usize = 256;

/// Milliseconds between two snapshots for the dashboard. Fixed. Why: people read no faster, and one
/// walks over all connections and subscriptions. When hit: all who look are told at once.
pub const ADMIN_LIVE_MS: u64 = 1_000;

/// Snapshots whose figures are kept for charts. Fixed. Why: five minutes, in 30 KiB. When hit: the
/// oldest is forgotten.
pub const ADMIN_LIVE_POINTS: usize = 300;

/// Messages that wait for a page of the dashboard that subscribes. Fixed. Why: a person sees the
/// newest few. When hit: the oldest is passed over, and the page shows how many it missed.
pub const ADMIN_WATCH_MESSAGES: usize = 256;

/// Milliseconds between two looks at what a page of the dashboard subscribes to. Fixed. Why: with
/// the bound above, no flood makes it more than 2,560 messages a second. When hit: the messages
/// wait in their queue.
pub const ADMIN_WATCH_MS: u64 = 100;

/// Bytes of a payload that the dashboard is shown. Fixed. Why: a row on a screen. When hit: the
/// rest is cut off, and the length is told.
pub const ADMIN_WATCH_BYTES: usize = 2 * 1024;

/// Bytes of a message that somebody publishes from the dashboard, and the time for sending them.
/// Fixed. Why: typed by hand, or pasted. When hit: 413, or 408.
pub const ADMIN_PUBLISH_BYTES: usize = 64 * 1024;
/// See [`ADMIN_PUBLISH_BYTES`].
pub const ADMIN_PUBLISH_MS: u64 = 10_000;

/// Rows of a page of the admin listener, unless the request says otherwise, and the most. Fixed.
/// Why: enough to look at, where the whole list of a full server is tens of megabytes. When hit:
/// the page says where the next one begins.
pub const ADMIN_PAGE_ROWS: (usize, usize) = (1_024, 10_000);

/// NATS subscriptions in one answer of the admin listener. Fixed. Why: a thousand connections can
/// have a hundred thousand each. When hit: the rest is left out; ask for fewer connections.
pub const ADMIN_SUBSCRIPTIONS: usize = 10_000;

/// Seconds of a CPU profile, unless the request says otherwise, and the most. Fixed. Why: the first
/// is what pprof asks for, and nobody waits longer than the second. When hit: the request is
/// refused.
pub const CPU_PROFILE_SECONDS: (usize, usize) = (30, 120);

/// Samples a second of a CPU profile. Fixed. Why: each costs some microseconds, and an odd rate
/// does not beat with periodic work.
pub const CPU_PROFILE_HERTZ: i32 = 99;

/// Tasks in a profile of tasks. Fixed. Why: at about 300 bytes each, as many as a browser can show.
/// When hit: the profile says how many are left out.
pub const PROFILED_TASKS: usize = 100_000;

/// Length of the chain of parents that a profile of tasks shows. Fixed. When hit: the rest is left
/// out.
pub const PROFILED_PARENTS: usize = 64;

/// Events in the journal. Fixed. Why: at about 200 bytes each, this is an hour of a lively server,
/// because repeated events share a line. When hit: the oldest is forgotten.
pub const JOURNAL_EVENTS: usize = 1_000;

/// Latest events among which the journal looks for one that a new event repeats. Fixed. Why: a
/// crowd that comes and goes from a few addresses is still a few events, and looking takes less
/// than a microsecond. When hit: the event gets a line of its own.
pub const JOURNAL_FOLDED_EVENTS: usize = 32;

/// Milliseconds after which a repeated event gets a new line. Fixed. Why: two visits in a day are
/// two.
pub const JOURNAL_FOLD_MS: u64 = 60_000;

/// Bytes of a topic, reason or name that the journal and the list of connections keep. Fixed. When
/// hit: the rest is cut off.
pub const DIAGNOSTIC_TEXT_BYTES: usize = 256;

// ---- Relations ----

const _: () = assert!(
    "chat.room.".len() + NAME_BYTES <= fanfare::limits::TOPIC_BYTES_MAX,
    "a room's name must fit into a topic"
);
const _: () = assert!(NAME_CHARACTERS <= NAME_BYTES);
const _: () = assert!(ROOM_REPLAY_LINES <= ROOM_HISTORY_LINES);
const _: () =
    assert!(MAX_CONNECTIONS_PER_ADDRESS >= 5_000 && MAX_CONNECTIONS_PER_ADDRESS <= MAX_CONNECTIONS);
const _: () = assert!(LINE_BYTES < WRITE_BUFFER_BYTES, "a line fits into the write buffer");
const _: () = assert!(READ_BUFFER_BYTES.0 <= READ_BUFFER_BYTES.1);
const _: () = assert!(
    "push.group.".len() + PUSH_NAME_BYTES <= fanfare::limits::TOPIC_BYTES_MAX,
    "a group's name must fit into a topic"
);
const _: () = assert!(PUSH_DATAGRAM_BYTES < PUSH_QUEUE_BYTES, "a datagram fits into a queue");
const _: () = assert!(PUSH_PAYLOAD_BYTES < PUSH_QUEUE_BYTES, "a push fits into a queue");
