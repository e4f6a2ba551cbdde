//! What a peer on the network can make the server hold, and how long the server waits for a peer.
//!
//! Each bound is a default that the configuration can change, unless its comment says "fixed".
//! Bounds cost nothing until they are used, because nothing is allocated ahead. What the broker
//! itself holds is in [`fanfare::limits`].

// ---- Connections ----

use std::time::Duration;

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
/// When hit: never, because the doors share what is left at start.
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

/// Bytes a second that a client must read for publishers to keep to its pace when its queue is
/// full. Why: whoever reads is kept, and yet a client that takes a byte now and then cannot hold up
/// all the others. When a client reads less: it is waited for no longer than its door's wait, and
/// then misses messages or is disconnected.
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

/// Fewest bytes that a connection holds that is ended because memory is short. Fixed. Why: every
/// connection may have that much on its way.
pub const MEMORY_SHED_BYTES_MIN: u64 = 128 << 10;

/// Milliseconds for which those that were ended may take to be gone. Fixed. Why: before that it is
/// not known how many more have to go. When hit: more are ended.
pub const MEMORY_TEAR_DOWN_MS: u64 = 1_000;

// ---- Reading ----

/// First and largest size of a connection's read buffer in bytes. It grows while reads fill it.
/// Fixed. Why: 5,000 quiet connections must cost little, while a busy one should be read in large
/// pieces. When hit: a read returns that much, and the rest waits in the kernel.
pub const READ_BUFFER_BYTES: (usize, usize) = (2 * 1024, 64 * 1024);

/// Reads of one connection without a pause before other tasks get their turn. Fixed. Why: a flood
/// on one connection must not keep the others from a core. When hit: the reader yields once.
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

// ---- Chat ----

/// Bytes of a line of text, without its end. Why: longer than any line a person types; an editor's
/// paragraph. When hit: the line is skipped to its end, and its sender is told once.
pub const LINE_BYTES: usize = 4_096;

/// Bytes of one telnet sub-negotiation that are skipped. Fixed. Why: the known ones are far
/// shorter. When hit: what follows is read as text again.
pub const TELNET_SKIPPED_BYTES: usize = 256;

/// Characters of a person's or room's name. Why: it stands before every line. When hit: the name is
/// refused.
pub const NAME_CHARACTERS: usize = 24;

/// Bytes of a person's or room's name in UTF-8. Fixed. Why: `chat.room.<name>` must be a topic, and
/// this is enough for anybody. When hit: the name is refused.
pub const NAME_BYTES: usize = 128;

/// Names that no person takes, nor one that looks like them. Fixed. Why: people believe what
/// somebody of that name tells them. When hit: the name is refused.
pub const RESERVED_NAMES: [&str; 14] = [
    "admin",
    "administrator",
    "everyone",
    "fanfare",
    "help",
    "here",
    "mod",
    "moderator",
    "operator",
    "outside",
    "root",
    "server",
    "support",
    "system",
];

/// Combining marks in a row that a name may have, and that are shown of a text. Fixed. Why: more
/// than any language stacks on a letter, and too few to paint over other lines. When hit: the name
/// is refused; further marks of a text are left out.
pub const COMBINING_MARKS: usize = 8;

/// Characters of a room's topic. When hit: the topic is refused.
pub const ROOM_TOPIC_CHARACTERS: usize = 300;

/// Rooms of a server. Why: each costs a few hundred bytes, and its history. When hit: no new room
/// is opened.
pub const ROOMS: usize = 10_000;

/// Rooms that one person is in. Why: each is a subscription with a queue of its own. When hit: the
/// person can join no other room.
pub const ROOMS_PER_PERSON: usize = 20;

/// Members of a room. Why: every line is rendered for each of them. When hit: nobody else can join.
pub const ROOM_MEMBERS: usize = 10_000;

/// Lines of history that each room keeps. Why: a screen or two. When hit: the oldest is forgotten.
pub const ROOM_HISTORY_LINES: usize = 100;

/// Lines of a room's history that a person who joins is shown, and that `/history` shows without a
/// number.
pub const ROOM_REPLAY_LINES: usize = 20;

/// Names or rooms that `/who` and `/rooms` list. Fixed. Why: an answer has to fit a screen and the
/// write buffer. When hit: the answer says how many more there are.
pub const LISTED_ENTRIES: usize = 100;

/// Bytes of answers to a person's own commands that wait for the writer. Fixed. When hit: no more
/// of the person's lines are read until the answers are out; nothing is lost.
pub const REPLY_BYTES: usize = 64 * 1024;

/// Changes to a person's subscriptions that wait for the writer. Fixed. When hit: as for
/// [`REPLY_BYTES`].
pub const REPLY_ITEMS: usize = 256;

/// Lines of one person that are published as one batch. Fixed. Why: a batch waits once for full
/// queues, so it must be much smaller than a queue to have a chance to fit. When hit: another batch
/// begins.
pub const CHAT_BATCH_LINES: usize = 256;

/// Messages queued for one person from one room. When hit: see [`CHAT_WAIT_MS`].
pub const CHAT_QUEUE_MESSAGES: usize = 1_024;

/// Bytes queued for one person from one room. When hit: see [`CHAT_WAIT_MS`].
pub const CHAT_QUEUE_BYTES: usize = 256 * 1024;

/// Milliseconds that a line waits for readers whose queue is full; 0 for not at all. Why: this
/// slows a flood down to what its readers can take, while a stuck reader costs one wait and is then
/// on probation. When hit: the reader misses the line, and is told how many it missed where they
/// are missing.
pub const CHAT_WAIT_MS: u64 = 5;

/// Lines a second that are read from one person after a burst of [`LINE_BURST_SECONDS`]. Why:
/// nobody types faster, and nobody can read more. When hit: the person is told, and the next line
/// is read when it is due; nothing is lost.
pub const CHAT_LINES_PER_SECOND: u32 = 5;

/// Milliseconds in which a person's TLS handshake has to be complete. Fixed. When hit: the
/// connection is closed.
pub const CHAT_TLS_HANDSHAKE_MS: u64 = 10_000;

/// Seconds' worth of lines that a person may send in a burst, before [`CHAT_LINES_PER_SECOND`]
/// slows the person down. Fixed. Why: a greeting by script, or a few lines pasted.
pub const LINE_BURST_SECONDS: u32 = 4;

/// Names that one person ignores. Fixed. Why: each is compared with the sender of each line. When
/// hit: no further name is ignored.
pub const IGNORED_NAMES: usize = 50;

/// Names in one list of a room's rules: operators, banned, muted, invited. Fixed. When hit: no
/// further name is added.
pub const ROOM_RULE_NAMES: usize = 200;

/// Rooms with rules that one account has founded. Fixed. Why: they stay when nobody is in them.
/// When hit: the founder's further rooms get no rules.
pub const KEPT_ROOMS: usize = 20;

/// Names that have an owner. Fixed. Why: they are in memory, some 500 bytes each. When hit: no
/// further name is registered.
pub const ACCOUNTS: usize = 50_000;

/// The least and the most characters of a password. Fixed. Why: fewer are guessed. When hit: it is
/// refused.
pub const PASSWORD_CHARACTERS: (usize, usize) = (8, 128);

/// KiB of memory that hashing a password takes, and passes over it. Fixed, for hashes in files
/// depend on them. Why: what OWASP advises for argon2id: little for us, much for whoever guesses.
pub const PASSWORD_HASH_KIB: u32 = 19 * 1024;
/// See [`PASSWORD_HASH_KIB`].
pub const PASSWORD_HASH_PASSES: u32 = 2;

/// Passwords that are hashed at the same time, one for each address. Fixed. Why: each takes a core
/// for a while, and memory. When hit: addresses take turns.
pub const PASSWORDS_AT_ONCE: usize = 2;

/// Wrong passwords of one connection. Fixed. Why: people mistype, machines guess. When hit: it is
/// closed.
pub const LOGIN_FAILURES: u32 = 5;

// ---- The database ----

/// Bytes of the database (8 GiB). Why: a disk has other uses. When hit: nothing more is stored,
/// people are told, and the chat goes on.
pub const DATA_BYTES: u64 = 8 << 30;

/// Milliseconds for which another program may keep the database locked. Fixed. Why: a backup takes
/// a moment. When hit: what was to be stored is not, and people are told.
pub const DATA_LOCK_WAIT_MS: u64 = 30_000;

/// Lines that the database keeps of each room. When hit: the oldest are forgotten.
pub const STORED_LINES: u32 = 100_000;

/// Days for which the database keeps lines; 0 for ever. When hit: the oldest are forgotten with the
/// next commits.
pub const STORED_DAYS: u32 = 365;

/// Lines that wait to be stored, and their bytes (16 MiB). Fixed. Why: some seconds of a busy
/// server. When hit: further lines are delivered but not stored, and the history says how many are
/// missing.
pub const STORE_QUEUE_LINES: usize = 16_384;
/// See [`STORE_QUEUE_LINES`].
pub const STORE_QUEUE_BYTES: usize = 16 << 20;

/// Requests that wait for the database. Fixed. When hit: the next is refused, to be tried again.
pub const STORE_REQUESTS: usize = 4_096;

/// Lines of one commit, and their bytes (4 MiB). Fixed. Why: a commit's work is shared by them, and
/// they are in memory until it is done. When hit: the next commit takes the rest.
pub const COMMIT_LINES: usize = 4_096;
/// See [`COMMIT_LINES`].
pub const COMMIT_BYTES: usize = 4 << 20;

/// Requests that are answered by one commit. Fixed. When hit: the next commit takes the rest.
pub const COMMIT_REQUESTS: usize = 64;

/// Milliseconds that a line may wait for others to be committed with it, unless somebody waits for
/// the commit. Fixed. Why: a commit of one line costs as much as one of dozens. When hit: they are
/// committed.
pub const COMMIT_WAIT_MS: u64 = 20;

/// Lines of a room between two looks for those that it must forget, and lines that one commit
/// forgets for their age. Fixed. When hit: a room has so many more than it may have, for a while.
pub const FORGETTING_LINES: u32 = 1_000;

/// Lines that are read into memory when the server begins, of the rooms that talked last. Fixed.
/// Why: the start must not take long. When hit: other rooms begin without a history in memory;
/// `/history` still shows it.
pub const LOADED_LINES: u32 = 100_000;

/// Lines of the database that `/history` shows at most. Fixed. Why: they are one answer. When hit:
/// it shows the last of them.
pub const STORED_HISTORY_LINES: u32 = 1_000;

/// Lines that `/search` shows at most. Fixed. When hit: it shows the last of them.
pub const SEARCH_LINES: u32 = 50;

/// Rooms that are told at once that nothing is stored. Fixed. When hit: the others learn it from
/// their histories alone.
pub const TOLD_ROOMS: usize = 1_000;

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

// ---- Push ----

/// Bytes of a datagram. Why: a push is small; larger datagrams are fragmented on the way, and lost
/// when one fragment is. When hit: the datagram is dropped and counted.
pub const PUSH_DATAGRAM_BYTES: usize = 8 * 1024;

/// Bytes of a user's id or a group's name. Fixed. Why: `push.group.<name>` must be a topic, and
/// this is enough for any. When hit: the push or the client is refused.
pub const PUSH_NAME_BYTES: usize = 128;

/// Bytes of a push's id. Fixed. Why: it is kept for every push that waits to be acknowledged. When
/// hit: the push is refused.
pub const PUSH_ID_BYTES: usize = 64;

/// Longest time in seconds that a push is kept: a day. Fixed. When hit: the push is refused.
pub const PUSH_TTL_MAX_S: u64 = 86_400;

/// Seconds that a push is kept for clients that are away, unless it says otherwise. Why: a lost
/// connection is back within a minute. When hit: it counts as expired and is no longer delivered.
pub const PUSH_TTL_S: u64 = 60;

/// Pushes kept of each user and group, and of those to all, for clients that reconnect. Bytes and
/// topics are bounded by [`HISTORY_BYTES_MAX`] and [`HISTORY_TOPICS_MAX`] as well. When hit: the
/// oldest is forgotten.
///
/// [`HISTORY_BYTES_MAX`]: fanfare::limits::HISTORY_BYTES_MAX
/// [`HISTORY_TOPICS_MAX`]: fanfare::limits::HISTORY_TOPICS_MAX
pub const PUSH_REPLAY: usize = 32;

/// Seconds by which the time in a signed datagram may differ from ours. Why: clocks are that wrong,
/// and networks that slow. When hit: the datagram is refused as stale.
pub const PUSH_SIGNATURE_AGE_S: u64 = 30;

/// Signed datagrams remembered so that none is accepted twice: at about 24 bytes each, a few MiB.
/// Each is remembered until it is stale. Fixed. When hit: further signed datagrams are refused
/// until some are stale; only the holder of a key can cause this.
pub const PUSH_REMEMBERED_SIGNATURES: usize = 1 << 18;

/// Spans of seconds of which signed datagrams were taken and are forgotten. Fixed. Why: a clock
/// that runs on needs one, and each time it is set by much makes another. When hit: the two that
/// are closest become one, and what was sent between them is refused as stale.
pub const PUSH_FORGOTTEN_SPANS: usize = 16;

/// Fewest and most bytes of the nonce of a signed datagram. Fixed. When hit: the datagram is
/// refused.
pub const PUSH_NONCE_BYTES: (usize, usize) = (8, 64);

/// Fewest bytes of a key that signs datagrams. Fixed. When hit: the file of keys is refused.
pub const PUSH_KEY_BYTES_MIN: usize = 16;

/// Datagrams read in one go before other tasks get their turn. Fixed. When hit: the reader yields
/// once.
pub const DATAGRAMS_PER_TURN: usize = 64;

/// Bytes of signed datagrams in one go up to which they are checked where they are read. Fixed.
/// Why: this takes some 20 microseconds; handing them to another thread takes 7, and 40 more until
/// they are back (`cargo bench --bench push`). When hit: another thread checks them.
pub const PUSH_CHECKED_IN_PLACE_BYTES: usize = 32 * 1024;

/// Bytes of datagrams that the kernel holds for the server, where the system allows it. Fixed. Why:
/// a burst may arrive while a push to everybody is published. When hit: the kernel drops datagrams.
pub const PUSH_RECEIVE_BUFFER_BYTES: usize = 4 << 20;

/// Mistakes that a push client is told of, once it has said anything that looks like an object.
/// Fixed. Why: a program that gets this many things wrong is not a client. When hit: the connection
/// is closed.
pub const PUSH_MISTAKES: usize = 100;

/// Pushes that wait for full queues at the same time. Why: each holds its message and a task. When
/// hit: further datagrams are dropped and counted until one of them is done; HTTP is answered 503.
pub const PUSHES_AT_ONCE: usize = 256;

/// Milliseconds that one push may take. When hit: clients that have not got it miss it, and
/// everything that the push has started ends.
pub const PUSH_TIMEOUT_MS: u64 = 1_000;

/// Milliseconds that a push waits for clients whose queue is full; 0 for not at all. When hit: the
/// client misses it and is told.
pub const PUSH_WAIT_MS: u64 = 5;

/// Pushes queued for one connection. When hit: see [`PUSH_WAIT_MS`].
pub const PUSH_QUEUE_MESSAGES: usize = 1_024;

/// Bytes queued for one connection. When hit: see [`PUSH_WAIT_MS`].
pub const PUSH_QUEUE_BYTES: usize = 256 * 1024;

/// Bytes of a push that comes over HTTP. When hit: it is answered 413.
pub const PUSH_PAYLOAD_BYTES: usize = 64 * 1024;

/// Bytes of a batch of pushes that comes over HTTP. When hit: it is answered 413.
pub const PUSH_BATCH_BYTES: usize = 1 << 20;

/// Pushes of one batch. When hit: the batch is answered 413, and none of it is pushed.
pub const PUSH_BATCH: usize = 1_000;

/// Milliseconds in which the body of a request has to arrive. When hit: it is answered 408.
pub const PUSH_BODY_MS: u64 = 5_000;

/// Pushes a second that one token may send over HTTP, and as many in a burst. When hit: it is
/// answered 429.
pub const PUSH_HTTP_PER_SECOND: usize = 10_000;

/// Milliseconds after which a quiet event stream is sent a comment. Why: proxies forget quiet
/// connections after a minute.
pub const PUSH_EVENTS_PING_MS: u64 = 15_000;

/// Bytes from a WebSocket that are decoded in one go. Fixed. Why: the library keeps a buffer of
/// this size for each connection, even a quiet one, and clients say little. When hit: the rest is
/// decoded next.
pub const WEB_SOCKET_READ_BYTES: usize = 512;

/// Bytes of answers to pings that wait for a NATS client on a WebSocket. Fixed. When hit: further
/// pings are not answered until it has read.
pub const WEB_SOCKET_ANSWER_BYTES: usize = 4 * 1024;

/// Bytes of a frame to a NATS client on a WebSocket. Fixed. Why: what waits for the network is
/// copied into it. When hit: the rest is in the next.
pub const WEB_SOCKET_FRAME_BYTES: usize = 64 * 1024;

/// Bytes of a line from a push client, or of a message over a WebSocket. When hit: the line is
/// skipped to its end and the client is told; a WebSocket is closed (1009).
pub const PUSH_LINE_BYTES: usize = 4_096;

/// Groups that one connection is in. When hit: it can join no other group.
pub const PUSH_GROUPS_PER_CONNECTION: usize = 32;

/// Pushes sent to one connection that ask for an acknowledgement and have none. Fixed. When hit:
/// the connection can no longer acknowledge the oldest.
pub const PUSH_UNACKNOWLEDGED: usize = 64;

/// Pushes whose acknowledgements are tracked: at about 200 bytes each, 3 MiB. Fixed. When hit: the
/// oldest is forgotten.
pub const PUSH_ACKS_TRACKED: usize = 16_384;

/// Longest time in milliseconds that the sender of a push can wait for acknowledgements. Fixed.
/// Why: by then every client that is there has answered, and `GET /push/ID` tells the rest. When
/// hit: a push that asks for more is refused.
pub const PUSH_ACK_WAIT_MS_MAX: u64 = 30_000;

/// Senders that wait for acknowledgements at the same time. Fixed. Why: each has a task. When hit:
/// a push whose sender would wait is refused as busy; others are handled as ever.
pub const PUSH_ACK_WAITS: usize = 1_024;

/// Pushes that the journal names in [`PUSH_LOSSES_LOGGED_MS`] because somebody missed them, or got
/// them too late or too slowly. Fixed. Why: enough to show what is wrong, and at this pace they
/// need some ten minutes to drive everything else out of the journal. When hit: the others share
/// one line with a count.
pub const PUSH_LOSSES_LOGGED: usize = 16;

/// Milliseconds after which the journal names pushes again. Fixed. See [`PUSH_LOSSES_LOGGED`].
pub const PUSH_LOSSES_LOGGED_MS: u64 = 10_000;

/// Milliseconds of silence after which a push client is pinged. Why: with three misses, a client
/// that is gone is noticed within 20 s. When hit: it is sent a ping; one that has not said who it
/// is is disconnected.
pub const PUSH_IDLE_MS: u64 = 5_000;

// ---- NATS ----

/// Bytes of arguments on a NATS control line, without the verb, the blanks after it, and the end of
/// the line. Why: nats-server's default, which clients expect. When hit: `-ERR 'maximum control
/// line exceeded'`, and the connection is closed.
pub const NATS_CONTROL_LINE_BYTES: usize = 4_096;

/// Bytes of a NATS message, including its headers. Why: nats-server's default, which clients expect
/// and learn from INFO. When hit: `-ERR 'Maximum Payload Violation'` before the body is read, and
/// the connection is closed.
pub const NATS_PAYLOAD_BYTES: usize = 1 << 20;

/// Digits of a size on a NATS control line. Fixed: nats-server's. When hit: the connection is
/// closed.
pub const NATS_SIZE_DIGITS: usize = 9;

/// NATS messages that are published as one batch. Fixed. Why: a batch waits once for full queues,
/// so it must be much smaller than a queue to have a chance to fit. When hit: another batch begins.
pub const NATS_BATCH_MESSAGES: usize = 256;

/// Bytes after which a batch of NATS messages is complete. Fixed. Why: memory is freed batch by
/// batch, and this is the most that a read brings unless a large message was gathered. When hit:
/// another batch begins.
pub const NATS_BATCH_BYTES: usize = 64 * 1024;

/// Bytes of a batch of NATS messages up to which it is copied out of the read buffer. Fixed. Why: a
/// few bytes in a queue or a history must not keep a whole read buffer alive, and the buffer can be
/// used again. When hit: the batch is not copied and keeps the buffer.
pub const NATS_COPIED_BYTES: usize = 4 * 1024;

/// Bytes of a NATS subscription id up to which the messages of a batch are rendered once and
/// shared. Fixed. Why: all clients count from 1, and a long id would enlarge what everybody shares.
/// When hit: that subscriber's messages are rendered for it alone.
pub const NATS_SHARED_SID_BYTES: usize = 16;

/// Bytes from which messages that others receive too are written from where they are. Fixed. Why:
/// copying fewer is cheaper than counting their users. When hit: they are not copied.
pub const NATS_SHARED_BYTES_MIN: usize = 1024;

/// NATS subscriptions of one connection. Why: each costs a few hundred bytes. When hit: `-ERR
/// 'maximum subscriptions exceeded'`, and the connection goes on without it.
pub const NATS_SUBSCRIPTIONS: usize = 100_000;

/// NATS subscriptions of all connections together. Why: enough for a million clients; the other
/// doors have their own. When hit: as for [`NATS_SUBSCRIPTIONS`].
pub const NATS_TOTAL_SUBSCRIPTIONS: usize = 1 << 20;

/// Bytes reckoned for a NATS subscription: for itself, and for each token of its subject. Fixed.
/// Why: that is what was measured; names are counted as they are. What a connection holds decides
/// who is ended when memory is short.
pub const NATS_SUBSCRIPTION_BYTES: (usize, usize) = (512, 256);

/// Milliseconds of silence after which a NATS client is sent a `PING`. Why: nats-server's default.
pub const NATS_PING_INTERVAL_MS: u64 = 120_000;

/// `PING`s that a NATS client may leave unanswered. Why: nats-server's default. When hit: when the
/// next one is due, `-ERR 'Stale Connection'`, and the connection is closed.
pub const NATS_PING_MAX: u32 = 2;

/// Milliseconds after its `CONNECT` in which a NATS client is sent its first `PING`, whatever it
/// does, if the interval is longer. Fixed. Why: as in nats-server; libraries expect one soon.
pub const NATS_FIRST_PING_MS: u64 = 2_000;

/// Milliseconds in which a NATS client has to authenticate, where that is required. Why:
/// nats-server's default. When hit: `-ERR 'Authentication Timeout'`, and the connection is closed.
pub const NATS_AUTHENTICATION_TIMEOUT_MS: u64 = 2_000;

/// Milliseconds that a NATS server waits for a client to begin TLS before it says `INFO`, where
/// that is left to the client. Fixed. Why: nats-server's. When hit: `INFO` comes first.
pub const NATS_TLS_FIRST_MS: u64 = 50;

/// Milliseconds in which a TLS handshake with a NATS client has to be over. Why: nats-server's
/// default; its time to authenticate begins afterwards. When hit: the connection is closed.
pub const NATS_TLS_HANDSHAKE_MS: u64 = 2_000;

/// Passwords of NATS clients that are compared with a hash at the same time, one for each address.
/// Fixed. Why: each takes a core for a while. When hit: addresses take turns, until a client's
/// authentication times out.
pub const NATS_HASHES_AT_ONCE: usize = 2;

/// NATS passwords that matched a hash lately and are not hashed again. Fixed. Why: more users than
/// most files name. When hit: the one used least lately is hashed next time.
pub const NATS_REMEMBERED_SECRETS: usize = 1_024;

/// Milliseconds after its last use for which such a password is remembered. Fixed. Why: clients
/// come back sooner after a restart or a broken network. When hit: it is hashed again.
pub const NATS_REMEMBERED_MS: u64 = 15 * 60 * 1_000;

/// Requests that a NATS client was sent and may answer, where only its user's `allow_responses`
/// lets it. Fixed. Why: nats-server's. When hit: the oldest can no longer be answered.
pub const NATS_RESPONSES: usize = 4_096;

/// Bytes queued for one NATS connection. Why: nats-server's default. When hit: see
/// [`NATS_WAIT_MS`].
pub const NATS_PENDING_BYTES: usize = 64 << 20;

/// Messages queued for one NATS connection. Why: the bytes are the bound that matters. When hit:
/// see
/// [`NATS_WAIT_MS`].
pub const NATS_PENDING_MESSAGES: usize = 1 << 20;

/// Milliseconds that a publish waits for NATS connections whose queue is full, if they do not read
/// as fast as [`SLOWEST_READER_BYTES`]. Why: a client that has just woken up has read something by
/// then. When hit: `-ERR 'Slow Consumer'`, and the connection is closed; or it misses messages and
/// is told.
pub const NATS_WAIT_MS: u64 = 20;

/// Milliseconds in which a NATS client has to take at least one byte of what waits for it. Why:
/// nats-server's default. When hit: the connection is closed.
pub const NATS_WRITE_DEADLINE_MS: u64 = 10_000;

/// Milliseconds between the notice that a NATS server is going to stop and the first connection
/// that it closes. Why: nats-server's default.
pub const NATS_LAME_DUCK_GRACE_MS: u64 = 10_000;

/// Milliseconds over which a NATS server that is going to stop closes its connections one by one,
/// so that they do not all reach another server at once. Why: nats-server's default. When hit: the
/// server stops.
pub const NATS_LAME_DUCK_DURATION_MS: u64 = 120_000;

/// Subjects whose meaning a NATS connection remembers. Fixed. Why: most clients publish to few.
/// When hit: all are forgotten.
pub const NATS_SUBJECTS_REMEMBERED: usize = 256;

/// Messages by which one publisher may overtake another in a connection's queue while it is never
/// empty. Fixed. Why: some segments. When hit: a `PONG` may come before a message that was queued
/// before it.
pub const NATS_OVERTAKING_MESSAGES: u64 = 16 * fanfare::limits::SEGMENT_MESSAGES_MAX as u64;

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

// ---- Cluster ----

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

/// Patterns that a hub may tell us. Fixed. Why: each costs a few hundred bytes. When hit: further
/// ones get nothing from here.
pub const CLUSTER_INTEREST_MAX: usize = 500_000;

/// Hubs that are dialled in turn. Fixed. When hit: further ones of the cluster are not dialled.
pub const CLUSTER_ADDRESSES_MAX: usize = 64;

/// Milliseconds in which a hub has to be reached, with its name looked up. Fixed. When hit: the
/// next hub is dialled.
pub const CLUSTER_DIAL_MS: u64 = 5_000;

/// Milliseconds from the connection to the hub's word that we are in. Fixed. Why: links over
/// satellites take more than nats-server's second. When hit: the next hub is dialled.
pub const CLUSTER_JOIN_MS: u64 = 8_000;

/// First and longest pause in milliseconds before a hub is dialled again; half of it is random.
/// Fixed. Why: the first attempt is soon, for another hub of the cluster is there mostly; a
/// thousand servers that lost theirs do not all come at once.
pub const CLUSTER_BACK_OFF_MS: (u64, u64) = (100, 5_000);

/// Milliseconds before a hub is dialled again that found a loop, or that has our name. Fixed:
/// nats-server's.
pub const CLUSTER_LOOP_DELAY_MS: u64 = 30_000;

/// Milliseconds before a hub is dialled again that wants a later version. Fixed: nats-server's.
pub const CLUSTER_VERSION_DELAY_MS: u64 = 5_000;

/// Milliseconds before a hub is dialled again that knows another server of our name. Fixed. Why:
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
