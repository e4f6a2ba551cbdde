//! What a peer on the network can make us hold, and for how long we put up with it.
//!
//! Each is a default that the configuration can change, unless it says "fixed". Bounds cost nothing
//! until they are used: nothing is allocated ahead. What the broker itself holds is in
//! [`fanfare::limits`].

/// Connections of one listener at the same time. Why: at about 20 KiB each, the memory of a small
/// machine. When hit: a new connection is told so in its own protocol and closed; nobody else
/// notices.
pub const MAX_CONNECTIONS: usize = 10_000;

/// Connections from one address at the same time (IPv6: from one /64, which is what one subscriber
/// line gets). Why: one host may not take all the places, and yet a load test or a proxy brings
/// 5,000 from one host. When hit: as for [`MAX_CONNECTIONS`].
pub const MAX_CONNECTIONS_PER_ADDRESS: usize = 6_000;

/// Connections the kernel holds for us before we accept them. Fixed. Why: a crowd that comes back
/// at once after a restart. When hit: the kernel lets the peer try again after a second.
pub const LISTEN_BACKLOG: i32 = 4_096;

/// File descriptors kept for everything that is not a connection of a protocol: listeners, files,
/// pipes, the poller, and the admin listener's own connections. Fixed. When hit: nothing;
/// [`MAX_CONNECTIONS`] is lowered at start so that it cannot be.
pub const RESERVED_FILE_DESCRIPTORS: u64 = 64 + ADMIN_CONNECTIONS as u64;

/// First and longest pause in milliseconds after `accept` failed for want of descriptors or memory.
/// Fixed. Why: trying again at once burns a core; a second is what a peer waits without noticing.
/// When hit: the pause stays there until a connection can be accepted.
pub const ACCEPT_BACK_OFF_MS: (u64, u64) = (10, 1_000);

/// Connections accepted in one go before other tasks get their turn. Fixed. When hit: the listener
/// yields once.
pub const ACCEPTS_PER_TURN: usize = 64;

/// Bytes of a connection's read buffer: its size at first, and the most it grows to while reads
/// fill it. Fixed. Why: 5,000 quiet connections must cost little, a busy one should hand over large
/// pieces. When hit: one read returns that much; the rest waits in the kernel.
pub const READ_BUFFER_BYTES: (usize, usize) = (2 * 1024, 64 * 1024);

/// Reads of one connection that follow each other without a pause before other tasks get their
/// turn. Fixed. Why: a flood on one connection must not keep the others from a core. When hit: the
/// reader yields once.
pub const READS_PER_TURN: u8 = 4;

/// Microseconds in which bytes gather before a reader reads on. Fixed. Why: at the rates at which
/// it happens at all, this brings as much as a read takes, and nobody sees half a millisecond. When
/// hit: the reader reads.
pub const READ_GATHER_US: u64 = 500;

/// Bytes a millisecond from which a connection is a stream whose bytes may gather. Fixed. Why:
/// 50,000 small messages a second; who sends fewer is read as soon as something comes.
pub const READ_GATHER_BYTES_PER_MS: u32 = 8 * 1024;

/// Bytes of a read that are enough: a stream that comes in larger ones is read as it comes. Fixed.
pub const READ_GATHER_PIECE_BYTES: u32 = 8 * 1024;

/// Microseconds for which a connection is read as it comes, after letting its bytes gather made it
/// slower. Fixed. Why: its peer waits for answers, and to find that out again costs it a few
/// milliseconds.
pub const READ_GATHER_REST_US: u32 = 1_000_000;

/// Bytes rendered for a peer that the kernel has not taken yet. Why: large enough that one write
/// carries hundreds of lines, small enough that 1,000 stuck readers hold 64 MiB. When hit: no more
/// is taken out of the peer's queues, which fill up to their own bounds and then drop, in the
/// books, until the peer reads again. The last piece rendered may go beyond it.
pub const WRITE_BUFFER_BYTES: usize = 64 * 1024;

/// Writes of one connection that follow each other before other tasks get their turn. Fixed.
/// When hit: the writer yields once.
pub const WRITES_PER_TURN: usize = 8;

/// Milliseconds in which a peer has to take at least one byte of what waits for it. Why: a person
/// may suspend a terminal for a while, a stuck program need not hold a place for ever. When hit:
/// the connection is closed.
pub const WRITE_DEADLINE_MS: u64 = 60_000;

/// Milliseconds of silence after which a peer is asked whether it is there. Why: address
/// translators forget quiet connections after a few minutes. When hit: it is sent its protocol's
/// ping.
pub const IDLE_MS: u64 = 120_000;

/// Pings without a sign of life after which a peer is disconnected. When hit: the connection is
/// closed.
pub const IDLE_MISSES: u32 = 3;

/// Milliseconds in which a closed connection's last bytes may still be fetched while we discard
/// what the peer sends. Fixed. Why: closing with unread input makes the kernel throw away our
/// goodbye. When hit: closed all the same.
pub const LINGER_MS: u64 = 1_000;

/// Milliseconds for saying goodbye and flushing when the server ends. When hit: what is left is
/// counted, reported and given up.
pub const GOODBYE_MS: u64 = 5_000;

/// Milliseconds that tasks which were asked to end are given for it. Fixed. Why: each needs one
/// turn of its runtime, unless it blocks a thread. When hit: nobody waits for them any longer, and
/// they are named in the report.
pub const TASK_END_MS: u64 = 1_000;

/// Milliseconds between two looks of the watchdog at the number of tasks. Fixed.
pub const WATCHDOG_LOOK_MS: u64 = 10_000;

/// Tasks by which those grow that no connection explains, until the watchdog says so. Fixed. Why:
/// more than the few that end a little later than their connection, few enough to hear of a leak in
/// its first megabyte. When hit: one warning in the log.
pub const WATCHDOG_TASKS: usize = 256;

/// Milliseconds between two warnings of the watchdog, at least. Fixed. When hit: it waits; the next
/// says how much came together.
pub const WATCHDOG_REPEAT_MS: u64 = 600_000;

/// Bytes of a line of text, without its end. Why: longer than any line a person types, the size of
/// an editor's paragraph. When hit: the line is skipped up to its end, its sender is told once.
pub const LINE_BYTES: usize = 4_096;

/// Bytes of one telnet sub-negotiation that are skipped. Fixed. Why: the known ones are far
/// shorter. When hit: what follows is taken as text again.
pub const TELNET_SKIPPED_BYTES: usize = 256;

/// Characters of a person's or room's name. Why: it stands before every line. When hit: the name is
/// refused.
pub const NAME_CHARACTERS: usize = 24;

/// Bytes of a person's or room's name in UTF-8. Fixed. Why: `chat.room.<name>` has to be a topic,
/// and those end at 255 bytes. When hit: the name is refused.
pub const NAME_BYTES: usize = 128;

/// Characters of a room's topic. When hit: the topic is refused.
pub const ROOM_TOPIC_CHARACTERS: usize = 300;

/// Rooms at the same time. Why: each costs a few hundred bytes, and its history. When hit: no new
/// room is opened.
pub const ROOMS: usize = 10_000;

/// Rooms one person is in at the same time. Why: each is a subscription with a queue of its own.
/// When hit: no further room is joined.
pub const ROOMS_PER_PERSON: usize = 20;

/// Members of a room. Why: every line is rendered for each of them. When hit: nobody else can join.
pub const ROOM_MEMBERS: usize = 10_000;

/// Last lines of each room that are kept. Why: a screen or two. When hit: the oldest is forgotten.
pub const ROOM_HISTORY_LINES: usize = 100;

/// Lines of a room's history shown to somebody who joins, and by `/history` without a number.
pub const ROOM_REPLAY_LINES: usize = 20;

/// Names or rooms that `/who` and `/rooms` list. Fixed. Why: an answer has to fit a screen and the
/// write buffer. When hit: the rest is given as a number.
pub const LISTED_ENTRIES: usize = 100;

/// Bytes of answers to a person's own commands that wait for the writer. Fixed. When hit: no more
/// of the person's lines are read until the answers have gone out; nothing is lost.
pub const REPLY_BYTES: usize = 64 * 1024;

/// Lines of one person that go out as one batch. Fixed. Why: a batch waits once for full queues, so
/// one much smaller than a queue has a chance to fit. When hit: another batch begins.
pub const CHAT_BATCH_LINES: usize = 256;

/// Changes of a person's subscriptions that wait for the writer. Fixed. When hit: as for
/// [`REPLY_BYTES`].
pub const REPLY_ITEMS: usize = 256;

/// Messages queued for one person from one room. When hit: see [`CHAT_WAIT_MS`].
pub const CHAT_QUEUE_MESSAGES: usize = 1_024;

/// Bytes queued for one person from one room. When hit: see [`CHAT_WAIT_MS`].
pub const CHAT_QUEUE_BYTES: usize = 256 * 1024;

/// Milliseconds a line waits for a reader whose queue is full (0: not at all). Why: it slows a
/// flood down to what its readers can take, and costs next to nothing when somebody is stuck, who
/// is on probation after one wait. When hit: that reader misses the line and is told how many it
/// missed, in their place.
pub const CHAT_WAIT_MS: u64 = 5;

/// Seconds' worth of lines that a person may send in a burst before a limit on lines per second
/// slows it down. Fixed. When hit: the next line is read when its time has come; nothing is lost.
pub const LINE_BURST_SECONDS: u32 = 2;

/// Milliseconds in which a request's head has to be there, and for which an HTTP connection may be
/// idle. Why: a program sends its head at once; one that sends it byte by byte only wants to hold a
/// place. When hit: the connection is closed.
pub const HTTP_HEAD_MS: u64 = 10_000;

/// Milliseconds in which an HTTP client has to take at least one byte of its answer. When hit: the
/// connection is closed.
pub const HTTP_WRITE_DEADLINE_MS: u64 = 10_000;

/// Bytes of a request's head: as much as browsers send, and twice that. Fixed. When hit: the
/// request is answered 431.
pub const HTTP_HEAD_BYTES: usize = 16 * 1024;

/// Headers of a request. Fixed. When hit: the request is answered 431.
pub const HTTP_HEADERS: usize = 64;

/// Bytes read from an HTTP connection at once, by way of the stack. Fixed. Why: a head fits; bodies
/// are small. When hit: the rest is read next.
pub const HTTP_READ_BYTES: usize = 4 * 1024;

/// Connections of the admin listener at the same time. Fixed. Why: a few people, their tools, and a
/// scraper. When hit: a new connection is answered 503 and closed.
pub const ADMIN_CONNECTIONS: usize = 64;

/// Rows that a page of the admin listener has unless the request says otherwise, and the most.
/// Fixed. Why: enough to look at; the whole list of a full server would be tens of megabytes. When
/// hit: the page says where the next one begins.
pub const ADMIN_PAGE_ROWS: (usize, usize) = (1_024, 10_000);

/// Seconds of a CPU profile unless the request says otherwise, and the most. Fixed. Why: what pprof
/// asks for, and what nobody waits longer for. When hit: the request is refused.
pub const CPU_PROFILE_SECONDS: (usize, usize) = (30, 120);

/// Samples a second of a CPU profile. Fixed. Why: no round number, so that it does not beat with
/// something periodical. Each costs some microseconds.
pub const CPU_PROFILE_HERTZ: i32 = 99;

/// Tasks that a profile of tasks shows. Fixed. Why: at about 300 bytes each, what a browser can
/// show. When hit: the rest is given as a number.
pub const PROFILED_TASKS: usize = 100_000;

/// Tasks above one another in a profile of tasks: who started whom. Fixed. When hit: the rest is
/// left out.
pub const PROFILED_PARENTS: usize = 64;

/// Events that the journal keeps. Fixed. Why: at about 200 bytes each, an hour of a lively server,
/// since repeated ones are one. When hit: the oldest is forgotten.
pub const JOURNAL_EVENTS: usize = 1_000;

/// Latest events among which the journal looks for one that a new one repeats. Fixed. Why: a crowd
/// that comes and goes from a few addresses is still a few events, and looking costs less than a
/// microsecond. When hit: the event stands for itself.
pub const JOURNAL_FOLDED_EVENTS: usize = 32;

/// Milliseconds after which an event begins anew although it repeats another. Fixed. Why: two
/// visits in a day are two.
pub const JOURNAL_FOLD_MS: u64 = 60_000;

/// Bytes of a topic, reason or name that the journal and the list of connections keep. Fixed. When
/// hit: the rest is cut off.
pub const DIAGNOSTIC_TEXT_BYTES: usize = 256;

// ---- The push gateway ----

/// Bytes of a datagram (8 KiB). Why: a push is a small thing; larger ones are cut up on the way,
/// and lost when one part is. When hit: the datagram is dropped and counted.
pub const PUSH_DATAGRAM_BYTES: usize = 8 * 1024;

/// Bytes of a user's id or a group's name. Fixed. Why: `push.group.<name>` has to be a topic, and
/// those end at 255 bytes. When hit: the push or the client is refused.
pub const PUSH_NAME_BYTES: usize = 128;

/// Bytes of a push's id. Fixed. Why: it is kept for every push that waits to be acknowledged. When
/// hit: the push is refused.
pub const PUSH_ID_BYTES: usize = 64;

/// Seconds that a push can be kept for, at the most (a day). Fixed. When hit: the push is refused.
pub const PUSH_TTL_MAX_S: u64 = 86_400;

/// Seconds that a push is kept for those who are away, unless it says otherwise. Why: a lost
/// connection comes back within a minute. When hit: it is not delivered any more, but counted as
/// expired.
pub const PUSH_TTL_S: u64 = 60;

/// Last pushes kept of each user and group, and of those to all, for those who return. Also bounded
/// in bytes by [`HISTORY_BYTES_MAX`] and in topics by [`HISTORY_TOPICS_MAX`]. When hit: the oldest
/// is forgotten.
pub const PUSH_REPLAY: usize = 32;

/// Seconds by which the time in a signed datagram may differ from ours. Why: clocks are that wrong,
/// networks that slow. When hit: the datagram is refused as stale.
pub const PUSH_SIGNATURE_AGE_S: u64 = 30;

/// Signed datagrams remembered, so that none is taken twice: at 24 bytes or so each, a few MiB.
/// Each is remembered while it would not be stale. Fixed. When hit: further signed datagrams are
/// refused until some are stale; only who has a key can bring that about.
pub const PUSH_REMEMBERED_SIGNATURES: usize = 1 << 18;

/// Bytes of the nonce of a signed datagram: the least and the most. Fixed. When hit: the datagram
/// is refused.
pub const PUSH_NONCE_BYTES: (usize, usize) = (8, 64);

/// Bytes of a key that signs datagrams, the least. Fixed. When hit: the file of keys is refused.
pub const PUSH_KEY_BYTES_MIN: usize = 16;

/// Datagrams read in one go before other tasks get their turn. Fixed. When hit: the reader yields
/// once.
pub const DATAGRAMS_PER_TURN: usize = 64;

/// Bytes of signed datagrams, of those read in one go, that are checked where they are read. Fixed.
/// Why: up to here that takes some 20 microseconds, and handing them over would take 7 of them and
/// 40 more until they are back (`cargo bench --bench push`). When hit: a worker thread checks them.
pub const PUSH_CHECKED_IN_PLACE_BYTES: usize = 32 * 1024;

/// Bytes of datagrams that the kernel holds for us (4 MiB), where the system allows it. Fixed. Why:
/// a burst arrives while a push to all is handed out. When hit: the kernel drops further ones.
pub const PUSH_RECEIVE_BUFFER_BYTES: usize = 4 << 20;

/// Mistakes that a push client is told of. Fixed. Why: a program that gets nothing right is not one
/// of ours. When hit: the connection is closed.
pub const PUSH_MISTAKES: usize = 100;

/// Pushes that wait for full queues at the same time. Why: each holds its message and a task. When
/// hit: further datagrams are dropped and counted until one of them is done; HTTP is answered 503.
pub const PUSHES_AT_ONCE: usize = 256;

/// Milliseconds that one push may take. When hit: whoever has not got it by then misses it, and all
/// that the push has started ends.
pub const PUSH_TIMEOUT_MS: u64 = 1_000;

/// Milliseconds a push waits for a client whose queue is full (0: not at all). When hit: that
/// client misses it and is told.
pub const PUSH_WAIT_MS: u64 = 5;

/// Pushes queued for one connection. When hit: see [`PUSH_WAIT_MS`].
pub const PUSH_QUEUE_MESSAGES: usize = 1_024;

/// Bytes queued for one connection. When hit: see [`PUSH_WAIT_MS`].
pub const PUSH_QUEUE_BYTES: usize = 256 * 1024;

/// Bytes of a push that comes by HTTP (64 KiB). When hit: it is answered 413.
pub const PUSH_PAYLOAD_BYTES: usize = 64 * 1024;

/// Bytes of a batch of pushes that comes by HTTP (1 MiB). When hit: it is answered 413.
pub const PUSH_BATCH_BYTES: usize = 1 << 20;

/// Pushes of one batch. When hit: the batch is answered 413, and none of it is pushed.
pub const PUSH_BATCH: usize = 1_000;

/// Milliseconds in which the body of a request has to be there. When hit: it is answered 408.
pub const PUSH_BODY_MS: u64 = 5_000;

/// Pushes a second that one token may send by HTTP, and as many in a burst. When hit: it is
/// answered 429.
pub const PUSH_HTTP_PER_SECOND: usize = 10_000;

/// Milliseconds after which a quiet stream of events is sent a comment. Why: proxies forget quiet
/// connections after a minute.
pub const PUSH_EVENTS_PING_MS: u64 = 15_000;

/// Bytes that are looked at in one go of what comes over a WebSocket. Fixed. Why: the library keeps
/// a buffer of this size for each connection, also a quiet one, and clients say little. When hit:
/// the rest is looked at next.
pub const WEB_SOCKET_READ_BYTES: usize = 512;

/// Bytes of a line that a push client sends, or of a message over a WebSocket. When hit: the line
/// is skipped up to its end, and the client is told; a WebSocket is closed (1009).
pub const PUSH_LINE_BYTES: usize = 4_096;

/// Groups one connection is in at the same time. When hit: no further group is joined.
pub const PUSH_GROUPS_PER_CONNECTION: usize = 32;

/// Pushes that one connection was sent and has not acknowledged, of those that ask for it. Fixed.
/// When hit: the oldest can no longer be acknowledged by this connection.
pub const PUSH_UNACKNOWLEDGED: usize = 64;

/// Pushes whose acknowledgements are tracked: at about 200 bytes each, 3 MiB. Fixed. When hit: the
/// oldest is forgotten.
pub const PUSH_ACKS_TRACKED: usize = 16_384;

/// Milliseconds that the sender of a push can wait for acknowledgements, at the most. Fixed. Why:
/// by then whoever is there has answered, and `GET /push/ID` tells the rest. When hit: a push that
/// asks for more is refused.
pub const PUSH_ACK_WAIT_MS_MAX: u64 = 30_000;

/// Senders that wait for acknowledgements at the same time. Fixed. Why: each has a task, and
/// nothing else. When hit: a push whose sender would wait is refused as busy; those that do not
/// wait are handled as ever.
pub const PUSH_ACK_WAITS: usize = 1_024;

/// Pushes that the journal names in [`PUSH_LOSSES_LOGGED_MS`] because somebody missed them, or got
/// them too late or too slowly. Fixed. Why: enough to show what is wrong, and at this pace they
/// need some ten minutes to drive everything else out of the journal. When hit: the others share
/// one line with a count.
pub const PUSH_LOSSES_LOGGED: usize = 16;

/// Milliseconds after which the journal names pushes again. Fixed. See [`PUSH_LOSSES_LOGGED`].
pub const PUSH_LOSSES_LOGGED_MS: u64 = 10_000;

/// Milliseconds of silence after which a push client is pinged. Why: with three misses, a client
/// that is gone is noticed within 20 s. When hit: it is sent a ping; one that has not said who it is
/// is disconnected.
pub const PUSH_IDLE_MS: u64 = 5_000;

/// Bytes of our own output that wait for a slow standard output. Fixed. When hit: further output is
/// discarded and counted, never waited for.
pub const STANDARD_OUTPUT_BYTES: usize = 1024 * 1024;

/// Bytes of arguments on a NATS control line, without the verb, the blanks after it, and the line's
/// end. Why: nats-server's default, which clients expect. When hit: `-ERR 'maximum control line
/// exceeded'`, and the connection is closed.
pub const NATS_CONTROL_LINE_BYTES: usize = 4_096;

/// Bytes of a NATS message, its headers counted (1 MiB). Why: nats-server's default, which clients
/// expect and INFO tells them. When hit: `-ERR 'Maximum Payload Violation'` before the body is
/// read, and the connection is closed.
pub const NATS_PAYLOAD_BYTES: usize = 1 << 20;

/// Digits of a size on a NATS control line. Fixed: nats-server's. When hit: the connection is
/// closed.
pub const NATS_SIZE_DIGITS: usize = 9;

/// NATS messages that are published as one batch. Fixed. Why: a batch waits once for full queues,
/// so one much smaller than a queue has a chance to fit. When hit: another batch begins.
pub const NATS_BATCH_MESSAGES: usize = 256;

/// Bytes after which a batch of NATS messages is complete. Fixed. Why: a batch is the unit in which
/// memory is freed; this is what a read brings at the most, unless a large message was gathered.
/// When hit: another batch begins.
pub const NATS_BATCH_BYTES: usize = 64 * 1024;

/// Bytes of a batch of NATS messages up to which it is copied out of the read buffer. Fixed. Why: a
/// few bytes in a queue or a history must not keep a whole read buffer alive, and the buffer can be
/// read into again. When hit: the batch is not copied and keeps the buffer.
pub const NATS_COPIED_BYTES: usize = 4 * 1024;

/// Bytes of a NATS subscription id for which the messages of a batch are rendered once and shared.
/// Fixed. Why: all clients count from 1, and a long one would blow up what everybody shares. When
/// hit: that subscriber's messages are rendered for it alone.
pub const NATS_SHARED_SID_BYTES: usize = 16;
/// NATS subscriptions of one connection. Why: each costs a few hundred bytes. When hit: `-ERR
/// 'maximum subscriptions exceeded'`, and the connection goes on without it.
pub const NATS_SUBSCRIPTIONS: usize = 100_000;

/// Milliseconds without a word from a NATS client after which it is sent a `PING`. Why:
/// nats-server's default. When hit: as said.
pub const NATS_PING_INTERVAL_MS: u64 = 120_000;

/// `PING`s that a NATS client may leave unanswered. Why: nats-server's default. When hit: with the
/// next one due, `-ERR 'Stale Connection'`, and the connection is closed.
pub const NATS_PING_MAX: u32 = 2;

/// Milliseconds after which a NATS client is sent its first `PING`, whatever it does, if the
/// interval is longer. Fixed. Why: libraries expect one soon. When hit: as said.
pub const NATS_FIRST_PING_MS: u64 = 1_000;

/// Milliseconds in which a NATS client has to say who it is, where that matters. Why: nats-server's
/// default. When hit: `-ERR 'Authentication Timeout'`, and the connection is closed.
pub const NATS_AUTHENTICATION_TIMEOUT_MS: u64 = 2_000;

/// Passwords of NATS clients that are compared with a hash at the same time. Fixed. Why: each takes
/// a core for a while. When hit: the others wait in line, no longer than their authentication
/// time-out, then `-ERR 'Authentication Timeout'`.
pub const NATS_HASHES_AT_ONCE: usize = 2;

/// Bytes queued for one NATS connection (64 MiB). Why: nats-server's default. When hit: see
/// [`NATS_WAIT_MS`].
pub const NATS_PENDING_BYTES: usize = 64 << 20;

/// Messages queued for one NATS connection. Why: the bytes are the bound that matters. When hit:
/// see [`NATS_WAIT_MS`].
pub const NATS_PENDING_MESSAGES: usize = 1 << 20;

/// Milliseconds that a publish waits for NATS connections whose queue is full. Why: a client that
/// reads has taken some of its 64 MiB by then, also as one of a thousand; and one that does not
/// holds up its publishers this long, once. When hit: `-ERR 'Slow Consumer'`, and the connection is
/// closed; or it misses messages, and is told.
pub const NATS_WAIT_MS: u64 = 20;

/// Milliseconds in which a NATS client has to take at least one byte of what waits for it. Why:
/// nats-server's default. When hit: the connection is closed.
pub const NATS_WRITE_DEADLINE_MS: u64 = 10_000;

/// Bytes rendered for a NATS client that the kernel has not taken yet. Fixed. As
/// [`WRITE_BUFFER_BYTES`].
pub const NATS_WRITE_BUFFER_BYTES: usize = 64 * 1024;

/// Milliseconds between the notice that a NATS server is going to end and the first connection that
/// it closes. Why: nats-server's default. When hit: as said.
pub const NATS_LAME_DUCK_GRACE_MS: u64 = 10_000;

/// Milliseconds in which a NATS server that is going to end closes its connections, one by one, so
/// that not all come to another server at once. Why: nats-server's default. When hit: the server
/// ends.
pub const NATS_LAME_DUCK_DURATION_MS: u64 = 120_000;

/// Subjects of which a NATS connection remembers what they mean. Fixed. Why: most clients publish
/// to few. When hit: all are forgotten.
pub const NATS_SUBJECTS_REMEMBERED: usize = 256;

/// Messages by which those of one publisher may overtake another's in a connection's queue while it
/// is never empty. Fixed. Why: some frames. When hit: a `PONG` may come before a message that was
/// queued before it.
pub const NATS_OVERTAKING_MESSAGES: u64 = 16 * fanfare::limits::SEGMENT_MESSAGES_MAX as u64;

/// Bytes from which messages that others are sent too are written from where they are. Fixed. Why:
/// copying fewer is cheaper than counting who uses them. When hit: they are copied.
pub const NATS_SHARED_BYTES_MIN: usize = 1024;

/// Bytes that are encrypted before the kernel has taken those before. Fixed. Why: as much as one
/// write brings. When hit: no more is encrypted.
pub const TLS_BUFFER_BYTES: usize = 64 * 1024;

/// Pieces that one write takes. Fixed. Why: more bring nothing. When hit: the writer writes before
/// it takes more.
pub const WRITE_SLICES: usize = 64;

const _: () =
    assert!("chat.room.".len() + NAME_BYTES <= 255, "a room's name must fit into a topic");
const _: () = assert!(NAME_CHARACTERS <= NAME_BYTES);
const _: () = assert!(ROOM_REPLAY_LINES <= ROOM_HISTORY_LINES);
const _: () =
    assert!(MAX_CONNECTIONS_PER_ADDRESS >= 5_000 && MAX_CONNECTIONS_PER_ADDRESS <= MAX_CONNECTIONS);
const _: () = assert!(LINE_BYTES < WRITE_BUFFER_BYTES, "a line fits into the write buffer");
const _: () = assert!(READ_BUFFER_BYTES.0 <= READ_BUFFER_BYTES.1);
const _: () =
    assert!("push.group.".len() + PUSH_NAME_BYTES <= 255, "a group's name must fit into a topic");
const _: () = assert!(PUSH_DATAGRAM_BYTES < PUSH_QUEUE_BYTES, "a datagram fits into a queue");
const _: () = assert!(PUSH_PAYLOAD_BYTES < PUSH_QUEUE_BYTES, "a push fits into a queue");
