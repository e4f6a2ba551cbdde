//! The bounds of the push gateway.

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

/// Pushes whose numbers are remembered, kept or not, so that a client that returns is told how many
/// it missed. Fixed. Why: 24 bytes each, and all that came since are looked through for a client
/// that returns. When hit: the oldest is forgotten, and a client that has not seen it is told that
/// nobody knows how many it missed, until the push would have expired.
pub const PUSH_NUMBERS_REMEMBERED: usize = 65_536;

/// Pushes that the database keeps for clients that are away, and bytes of their payloads (256 MiB).
/// Fixed. Why: all of them are read into memory when the server begins. When hit:
/// [`PUSHES_FORGOTTEN`] are forgotten, those first that expire first.
pub const STORED_PUSHES: i64 = 200_000;
/// See [`STORED_PUSHES`].
pub const STORED_PUSH_BYTES: i64 = 256 << 20;

/// Pushes that are forgotten at once when the database keeps too many. Fixed.
pub const PUSHES_FORGOTTEN: u32 = 100;

/// Numbers of pushes that are written down ahead, so that no later server gives one again. Fixed.
/// Why: a row for each push would cost as much as the push. When hit: the next ones are written
/// down; a restart may pass over as many.
pub const PUSH_NUMBERS_RESERVED: u64 = 1_000_000;

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
