//! The bounds of chat and of its database.

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

/// The least and the most characters of a password. Fixed. Why: shorter ones are guessed. When hit:
/// it is refused.
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

// ---- The demonstration in browsers ----

/// Demonstrations at a time. Fixed. Why: a class of people who look. When hit: the next is asked to
/// come later.
pub const DEMOS: usize = 32;

/// Messages of one burst of a demonstration. Fixed. Why: far more than its queues hold, so that
/// each policy has something to decide.
pub const DEMO_BURST_MESSAGES: u32 = 500;

/// Messages queued for one reader of a demonstration. Fixed. When hit: what its policy says, which
/// is what the demonstration shows.
pub const DEMO_QUEUE_MESSAGES: usize = 64;

/// Milliseconds that a burst waits for a full reader whose policy is to wait. Fixed. Why: readers
/// of more than ten messages a second are waited for, and slower ones miss some. When hit: the
/// reader misses messages, or is disconnected.
pub const DEMO_WAIT_MS: u64 = 100;

/// Milliseconds between two looks of a demonstration's readers. Fixed. Why: it looks smooth.
pub const DEMO_LOOK_MS: u64 = 100;

/// Messages a second that the readers of a demonstration take. Fixed. When hit: the nearest of
/// these is taken.
pub const DEMO_PER_SECOND: std::ops::RangeInclusive<u32> = 1..=500;

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

/// Requests that wait for the database, of at most [`STORE_QUEUE_BYTES`]. Fixed. Why: some seconds
/// of a busy server. When hit: the next is refused, to be tried again; a push is delivered but not
/// stored, and counted.
pub const STORE_REQUESTS: usize = 16_384;

/// Lines of one commit, and their bytes (4 MiB). Fixed. Why: a commit's work is shared by them, and
/// they are in memory until it is done. When hit: the next commit takes the rest.
pub const COMMIT_LINES: usize = 4_096;
/// See [`COMMIT_LINES`].
pub const COMMIT_BYTES: usize = 4 << 20;

/// Requests that are answered by one commit. Fixed. When hit: the next commit takes the rest.
pub const COMMIT_REQUESTS: usize = 1_024;

/// Milliseconds that a line may wait for others to be committed with it, unless somebody waits for
/// the commit. Fixed. Why: a commit of one line costs as much as one of dozens. When hit: they are
/// committed.
pub const COMMIT_WAIT_MS: u64 = 20;

/// Lines of a room that are one row of the database. Fixed. Why: a row costs as much as dozens of
/// lines, and a search looks at each line of the rows that it finds. When hit: another row begins.
pub const BLOCK_LINES: usize = 64;

/// Lines of a room between two looks for those that it must forget. Fixed. Why: a look reads how
/// much the room keeps. When hit: for a while a room has that many lines beyond its limit.
pub const FORGETTING_LINES: u32 = 4_096;

/// Rows of lines that one commit forgets for their age. Fixed. When hit: the next commit forgets
/// the rest.
pub const FORGETTING_BLOCKS: u32 = 1_024;

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
