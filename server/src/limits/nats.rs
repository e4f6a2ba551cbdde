//! The bounds of NATS.

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
pub const NATS_COPIED_BYTES: usize = 16 * 1024;

/// Bytes rendered for a NATS client that the kernel has not taken yet; the last piece may go
/// beyond. Fixed. Why: most of it is shared with the other subscribers, and with 10 of them 64 KiB
/// cost a quarter more processor time. When hit: nothing more is taken from the client's queue.
pub const NATS_WRITE_BUFFER_BYTES: usize = 256 * 1024;

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
/// front-ends have their own. When hit: as for [`NATS_SUBSCRIPTIONS`].
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

/// Milliseconds until a NATS server first tells its system account how it is, and at most between
/// two times. Fixed: nats-server's. When hit: the pause does not become longer.
pub const NATS_STATSZ_MS: (u64, u64) = (250, 10_000);

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

/// Queues that the subscriptions of one NATS connection have for themselves, and subjects for which
/// it can ask for one. Fixed. Why: a client has few kinds of messages, and each queue is looked at
/// for each write. When hit: the request is refused, or a later `SUB` gets `-ERR 'maximum
/// subscriptions exceeded'`.
pub const NATS_OWN_QUEUES: usize = 64;

/// Messages of a queue that a NATS subscription has for itself, unless its client says otherwise.
/// Fixed. Why: whoever asks for a policy wants what is new. When hit: what its policy says.
pub const NATS_OWN_QUEUE_MESSAGES: usize = 4_096;

/// Bytes of such a queue, unless its client says otherwise. Fixed. Why: some of the largest
/// messages; all queues of a connection together have [`NATS_PENDING_BYTES`]. When hit: what its
/// policy says.
pub const NATS_OWN_QUEUE_BYTES: usize = 4 << 20;

/// Bytes queued for one NATS connection. Why: nats-server's default. When hit: see
/// [`NATS_WAIT_MS`].
pub const NATS_PENDING_BYTES: usize = 64 << 20;

/// Messages queued for one NATS connection. Why: the bytes are the bound that matters. When hit:
/// see
/// [`NATS_WAIT_MS`].
pub const NATS_PENDING_MESSAGES: usize = 1 << 20;

/// Milliseconds that a publish waits for NATS connections whose queue is full, if they do not read
/// as fast as [`SLOWEST_READER_BYTES`](super::SLOWEST_READER_BYTES). Why: a client that has just
/// woken up has read something by then. When hit: `-ERR 'Slow Consumer'`, and the connection is
/// closed; or it misses messages and is told.
pub const NATS_WAIT_MS: u64 = 20;

/// Milliseconds in which a NATS client has to take at least one byte of what waits for it. Why:
/// nats-server's default. When hit: the connection is closed.
pub const NATS_WRITE_DEADLINE_MS: u64 = 10_000;

/// Subjects whose meaning a NATS connection remembers. Fixed. Why: most clients publish to few.
/// When hit: all are forgotten.
pub const NATS_SUBJECTS_REMEMBERED: usize = 256;

/// Messages by which one publisher may overtake another in a connection's queue while it is never
/// empty. Fixed. Why: some segments. When hit: a `PONG` may come before a message that was queued
/// before it.
pub const NATS_OVERTAKING_MESSAGES: u64 = 16 * fanfare::limits::SEGMENT_MESSAGES_MAX as u64;

/// How deep blocks, lists and files of nats-server's configuration may lie within each other.
/// Fixed. Why: each level takes a part of the stack. When hit: the file is refused.
pub const NATS_FILE_DEPTH: usize = 32;

/// Values in nats-server's configuration, those of variables counted where they are used. Fixed.
/// Why: variables that use variables double it with each line. When hit: the file is refused.
pub const NATS_FILE_VALUES: usize = 200_000;
