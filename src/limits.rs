//! Every bound: its unit, why this number, and what happens when it is hit.
//!
//! Bounds cost nothing until they are used: nothing is allocated ahead.

use std::time::Duration;

// ---- Topics ----

/// Bytes of a topic or a pattern. Long enough for any sensible hierarchy; a topic takes only the
/// bytes that it has. Longer ones are refused when parsed.
pub const TOPIC_BYTES_MAX: usize = 1024;

/// Tokens of a topic or a pattern; also how deep the walk through the subscriptions can go. More
/// are refused when parsed.
pub const TOPIC_TOKENS_MAX: usize = 32;

/// Steps through the subscriptions after which
/// [`MailboxSubscriber::first_match`](crate::MailboxSubscriber::first_match) gives up. Inboxes take
/// a few; patterns made for the purpose would take hundreds of thousands.
pub const MATCH_STEPS_MAX: usize = 1024;

/// Routes of topics without a history, and as many of siblings. A subscription with wildcards that
/// begins or ends looks at all that it matches, a millisecond for this many. Further topics look
/// for their audience at each publish until publishers have forgotten others.
pub const ROUTES_MAX: usize = 16_384;

// ---- Queues ----

/// Messages a subscription's queue holds unless it says otherwise: some milliseconds at full speed.
/// When it is reached, [`WhenFull`](crate::WhenFull) decides.
pub const QUEUE_MESSAGES_DEFAULT: usize = 1024;

/// The largest bound in messages that a subscription can ask for. `subscribe` refuses a larger one.
pub const QUEUE_MESSAGES_MAX: usize = 1 << 30;

/// Bytes a subscription's queue holds unless it says otherwise (1 MiB). When it is reached,
/// [`WhenFull`](crate::WhenFull) decides.
pub const QUEUE_BYTES_DEFAULT: usize = 1 << 20;

/// The largest bound in bytes that a subscription can ask for (1 GiB). `subscribe` refuses a larger
/// one.
pub const QUEUE_BYTES_MAX: usize = 1 << 30;

/// How long a publish waits for full subscriptions unless they say otherwise: long enough for a
/// scheduling hiccup, too short for publishers to suffer. Then the message is dropped for those
/// still full, which are told.
pub const WAIT_DEFAULT: Duration = Duration::from_millis(5);

/// How long a publisher that waits without end for a subscription relies on being told of room.
/// Then it looks for itself, as often as it takes. Why: in the middle of a batch a receiver looks
/// for such a publisher without a barrier, so one that stops reading just then may overlook it.
pub const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// The bound in messages from which on a lossless queue is looked at again like this. Why: that
/// arms a timer, which costs as much as hundreds of barriers, and shorter queues are full more
/// often. There the receiver has a barrier for each message.
pub const LOOK_AGAIN_FROM_MESSAGES: u32 = 256;

/// Upper ends, in microseconds, of the classes in which waits are counted. Fixed. They lie around
/// the default wait and reach up to the waits of lossless subscriptions. Longer waits form one more
/// class.
pub const WAIT_BUCKETS_US: [u64; 10] =
    [100, 500, 1_000, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000, 10_000_000];

/// Live subscriptions of one broker unless its builder says otherwise: enough for a million
/// clients. Reaching it refuses the next subscription.
pub const SUBSCRIPTIONS_DEFAULT: usize = 1 << 20;

/// Changes of interest listed for one [`InterestWatch`](crate::InterestWatch). Why: inboxes come
/// and go by the thousand while a bridge is busy. Beyond it the watch compares all interest
/// instead.
pub const INTEREST_CHANGES_MAX: usize = 1 << 16;

/// Members of a queue group that are compared for each message, which goes to the one with the
/// least queued. In a larger group this many are compared, spread evenly, others each time. A stuck
/// worker is still passed over, and a message costs no more.
pub const GROUP_SAMPLE_MAX: usize = 8;

/// From this many subscriptions to one pattern or topic on, the places of those that have ended are
/// closed together. Closing one moves half of the list, which takes a microsecond up to here.
pub const ENDED_MEMBERS_FROM: usize = 1024;

/// The places of ended subscriptions are closed once they are more than one in this many. Until
/// then, each costs a publish what a subscription costs that does not want the message.
pub const ENDED_MEMBERS_PART_MAX: usize = 4;

/// Subscriptions of a mailbox that end while one lock is held: 0.1 ms for subscriptions to the same
/// pattern. Then others have a turn.
pub const ENDS_PER_TURN: usize = 512;

/// How long the end of a mailbox pauses between two turns for others to take the lock. When it is
/// reached, others are coming without end, and the next turn begins.
pub const LET_IN_MAX: Duration = Duration::from_millis(1);

/// How many publishes of one publisher may drop something before other tasks have a turn. The
/// receivers that it drops for may be tasks of the same thread. When it is reached, the publish
/// yields once before it completes, as one that waited does.
pub const DROPPING_PUBLISHES_PER_TURN: u32 = 64;

/// The same while turns bring nobody room: each comes after twice as many publishes as the one
/// before, up to this. Why: a stuck receiver makes no use of turns, and at each of them all others
/// catch up and have to be woken again.
pub const DROPPING_PUBLISHES_PER_TURN_MAX: u32 = 1024;

/// Gaps that [`Messages`](crate::Messages) passes over in one poll. Fixed. Messages too heavy for
/// the queue leave gaps as fast as they are published; after this many others run first.
pub const GAPS_PER_POLL_MAX: usize = 64;

/// How long publishers that keep pace with a subscriber wait for its next sign of progress. Why:
/// the kernel passes on a slow peer's bytes in large pieces, those of a 1 MB/s reader once every
/// quarter of a second, and on a busy machine a reader may miss two turns in a row. When it is
/// reached, the subscriber counts as stuck, and its policy decides.
pub const PACE_AHEAD_MAX: Duration = Duration::from_secs(1);

// ---- Segments ----

/// Messages that one growing segment takes before the next begins. Larger segments save little
/// more, since this many messages already share a queue operation.
pub const SEGMENT_MESSAGES_MAX: usize = 256;

/// Messages a topic's first segment has room for. Segments double as they fill, so a seldom used
/// topic stays small.
pub const SEGMENT_MESSAGES_MIN: usize = 4;

/// Bytes after which the next segment begins (64 KiB). A queue keeps whole segments alive, so a
/// queue that holds a single message of each of many segments can pin up to this much for each
/// message.
pub const SEGMENT_BYTES_MAX: usize = 64 << 10;

/// The next segment begins when more than one in this many subscriptions of the audience were cut
/// off from it for want of room, and have room again. Until then each message costs each of them an
/// entry; a new segment costs everybody one.
pub const SEGMENT_CUTS_PART_MAX: usize = 4;

/// A batch of at least this many messages for each of its readers fills a segment of its own.
/// Appending to a segment that others read costs some 20 ns a message, an entry in a queue some 60
/// ns; for larger audiences the segment grows.
pub const SEGMENT_BATCH_PART: usize = 2;

/// Messages of one batch, which go into one segment: far more than any reader wants at once. A
/// larger batch is refused whole.
pub const BATCH_MESSAGES_MAX: usize = 1 << 20;

// ---- Publishers ----

/// The largest number of messages that a publisher reserves room for in advance, in each queue of
/// its audience. At this size the cost of asking each queue is no longer felt. A publisher that
/// goes quiet holds the room until somebody needs it.
pub const GRANT_MESSAGES_MAX: u32 = 128;

/// The smallest number of publishes worth reserving room for in advance. Publishes of more than
/// `GRANT_MESSAGES_MAX / GRANT_PUBLISHES_MIN` messages are asked for each time, and so are queues
/// with hardly more room than this.
pub const GRANT_PUBLISHES_MIN: u32 = 4;

/// The larger the audience, the more room a publisher reserves in advance: for at least one publish
/// for every four queues, since it has to ask them all. Queues with hardly more room than that are
/// asked each time.
pub const GRANT_QUEUES_PER_PUBLISH: u32 = 4;

/// Routes one publisher remembers, and as many of siblings. When one more is needed it forgets them
/// all and learns again, which costs it one look-up a topic.
pub const CACHED_ROUTES_MAX: usize = 1024;

/// Topics that a publisher remembers having seen once; the second publish caches the route. So
/// one-off topics, such as inboxes for replies, never cost a route. Of siblings, the second topic
/// caches theirs.
pub const SEEN_TOPICS: usize = 64;

/// One-off topics of one publisher after which it asks for a route of siblings again, once some
/// were told apart. To ask costs a fifth of a one-off publish, and inboxes with a subscription each
/// never get one.
pub const SIBLINGS_PAUSE_TOPICS: u32 = 64;

/// How often somebody looks whether a publisher is done with a message: a microsecond or two, and
/// it takes some dozen nanoseconds. Then the publisher's thread does not run, and between further
/// looks they let other threads run.
pub const BUSY_LOOKS: u32 = 64;

/// Messages that a `TopicSink` collects: what a growing segment holds. When it is reached, they are
/// published before the sink takes another.
pub const SINK_MESSAGES_MAX: usize = SEGMENT_MESSAGES_MAX;

// ---- History ----

/// Bytes of messages that one topic's history keeps, whatever its bound in messages (1 MiB). The
/// oldest are forgotten first.
pub const HISTORY_BYTES_MAX: usize = 1 << 20;

/// Topics with a history. When one more begins, the sixteenth of them that has been quiet longest
/// is forgotten.
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
