//! Every bound: its unit, why this number, and what happens when it is hit.
//!
//! Bounds cost nothing until they are used: nothing is allocated ahead.

use std::time::Duration;

// ---- Topics ----

/// Bytes of a topic or a pattern. Long enough for any sensible hierarchy, short enough to copy
/// without a thought. Longer ones are refused when parsed.
pub const TOPIC_BYTES_MAX: usize = 255;

/// Tokens of a topic or a pattern; also how deep the walk through the subscriptions can go. More
/// are refused when parsed.
pub const TOPIC_TOKENS_MAX: usize = 16;

// ---- Queues ----

/// Messages a subscription's queue holds unless it says otherwise: some milliseconds at full speed.
/// When it is reached, [`WhenFull`](crate::WhenFull) decides.
pub const QUEUE_MESSAGES_DEFAULT: usize = 1024;

/// The largest bound in messages that one can ask for. A larger one is refused by `subscribe`.
pub const QUEUE_MESSAGES_MAX: usize = 1 << 30;

/// Bytes a subscription's queue holds unless it says otherwise (1 MiB). When it is reached,
/// [`WhenFull`](crate::WhenFull) decides.
pub const QUEUE_BYTES_DEFAULT: usize = 1 << 20;

/// The largest bound in bytes that one can ask for (1 GiB). A larger one is refused by `subscribe`.
pub const QUEUE_BYTES_MAX: usize = 1 << 30;

/// How long a publish waits for full subscriptions unless they say otherwise: that of the original
/// Go broker. After it the message is dropped for those still full, which are told.
pub const WAIT_DEFAULT: Duration = Duration::from_millis(5);

/// Upper ends in microseconds of the classes in which waits are counted. Fixed. Why: around the
/// default wait, up to those of who must not lose anything. When hit: longer waits are one class
/// more.
pub const WAIT_BUCKETS_US: [u64; 10] =
    [100, 500, 1_000, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000, 10_000_000];

/// Live subscriptions of one broker unless its builder says otherwise: enough for a million
/// clients. Reaching it refuses the next subscription.
pub const SUBSCRIPTIONS_DEFAULT: usize = 1 << 20;

/// How often a receiver that has read everything looks again before it goes to sleep, where that
/// has paid lately. Each look lets all other tasks run first; more looks were measured to bring
/// nothing. Then it sleeps.
pub const RECEIVER_SPINS_MAX: u8 = 2;

/// How long publishers wait for a subscriber that they keep pace with, between two signs of its
/// progress. Why: the kernel lets a slow peer's bytes go in large pieces, a reader of 1 MB/s in one
/// every quarter of a second. When it is reached, the subscriber counts as stuck, and its policy
/// decides.
pub const PACE_AHEAD_MAX: Duration = Duration::from_millis(500);

// ---- Segments ----

/// Messages that one growing segment takes before the next begins. Larger ones save little more,
/// since a queue operation is shared by so many messages already.
pub const SEGMENT_MESSAGES_MAX: usize = 256;

/// Messages a topic's first segment has room for. Segments double as they fill, so a seldom used
/// topic stays small.
pub const SEGMENT_MESSAGES_MIN: usize = 4;

/// Bytes after which a growing segment is succeeded by the next (64 KiB). A queue keeps whole
/// segments alive, so one that holds a single message of each of many segments can pin this much
/// for each of its messages, at the most.
pub const SEGMENT_BYTES_MAX: usize = 64 << 10;

/// A growing segment is succeeded by the next when more than one in so many of its audience were
/// cut off from it, for want of room, and have room again. Until then each message costs each of
/// them an entry; a new segment costs everybody one.
pub const SEGMENT_CUTS_PART_MAX: usize = 4;

/// A batch of at least so many messages for each of its readers fills a segment of its own.
/// Appending to a segment that others read costs some 20 ns a message, an entry in a queue some 60
/// ns; for larger audiences the segment grows.
pub const SEGMENT_BATCH_PART: usize = 2;

/// Messages of one batch, which go into one segment: far more than any reader wants at once. A
/// larger batch is refused whole.
pub const BATCH_MESSAGES_MAX: usize = 1 << 20;

// ---- Publishers ----

/// Messages for which a publisher takes room in advance in each queue of its audience, at the most.
/// By then the cost of asking each queue is no longer felt. A publisher that goes quiet holds them
/// until somebody needs the room.
pub const GRANT_MESSAGES_MAX: u32 = 64;

/// Fewer messages in advance than this are not worth it: publishes of more than `GRANT_MESSAGES_MAX
/// / GRANT_MESSAGES_MIN` messages, and queues of less than eight times this, are asked each time.
pub const GRANT_MESSAGES_MIN: u32 = 4;

/// Routes one publisher remembers. When one more is needed it forgets them all and learns again,
/// which costs it one look-up a topic.
pub const CACHED_ROUTES_MAX: usize = 1024;

/// Topics of which a publisher remembers that it has seen them once; the second publish caches the
/// route. One-off topics, such as inboxes for replies, so never cost a route.
pub const SEEN_TOPICS: usize = 64;

// ---- History ----

/// Bytes of messages that one topic's history keeps, whatever its bound in messages (1 MiB). The
/// oldest leave first.
pub const HISTORY_BYTES_MAX: usize = 1 << 20;

/// Topics with a history. When one more begins, the sixteenth of them that was quiet for longest is
/// forgotten.
pub const HISTORY_TOPICS_MAX: usize = 16_384;

const _: () = {
    // Credits count modulo 2^32 in halves of one word: a bound must leave half of that for the
    // differences to be exact.
    assert!(QUEUE_MESSAGES_MAX < 1 << 31 && QUEUE_BYTES_MAX < 1 << 31);
    assert!(QUEUE_MESSAGES_DEFAULT <= QUEUE_MESSAGES_MAX && QUEUE_BYTES_DEFAULT <= QUEUE_BYTES_MAX);
    // Places in a segment share a word with two bits of state.
    assert!(SEGMENT_MESSAGES_MAX <= BATCH_MESSAGES_MAX && BATCH_MESSAGES_MAX < 1 << 30);
    assert!(SEGMENT_MESSAGES_MIN <= SEGMENT_MESSAGES_MAX);
    assert!(SEEN_TOPICS.is_power_of_two());
};
