//! What clients ask for the queue of a subscription, by a request to `$FANFARE.POLICY`.
//!
//! A request is what every library has, so a client needs neither another library nor an option of
//! it. It names one of the client's own subscriptions, or those to come, and changes nothing for
//! anybody else.

use super::Sid;
use crate::codec::nats::subject;
use crate::limits::{NATS_OWN_QUEUE_BYTES, NATS_OWN_QUEUE_MESSAGES};
use fanfare::{Pattern, WhenFull};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// Where such requests go.
pub const POLICY_SUBJECT: &str = "$FANFARE.POLICY";

/// The subscriptions that a policy is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// All of the client to exactly this subject, now and later.
    Subject(Pattern),
    /// The one of this id, now or later.
    Sid(Sid),
}

/// How the queue of one subscription behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueuePolicy {
    /// The policy for a full queue.
    pub when_full: WhenFull,
    /// Its bound in messages.
    pub queue_messages: usize,
    /// Its bound in bytes.
    pub queue_bytes: usize,
    /// Whether a message that waits is replaced by the next of the same subject.
    pub latest_by_subject: bool,
    /// The shortest time between two messages. What waits meanwhile is replaced by what is newer.
    pub interval: Option<Duration>,
}

/// The most that the server grants, and its defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyBounds {
    /// Messages of a queue.
    pub queue_messages: usize,
    /// Bytes of all queues of a connection together.
    pub queue_bytes: usize,
    /// How long a publish waits.
    pub wait: Duration,
    /// The policy for a slow client, unless it chooses one.
    pub when_full: WhenFull,
}

/// A request that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyRequest {
    pub target: Target,
    /// The policy wanted for them.
    pub policy: QueuePolicy,
}

/// The body of a request.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    subject: Option<Box<str>>,
    sid: Option<String>,
    when_full: Option<Choice>,
    wait_ms: Option<u64>,
    queue_messages: Option<usize>,
    queue_bytes: Option<usize>,
    #[serde(default)]
    latest_by_subject: bool,
    per_second: Option<f64>,
}

/// The policies that a client can choose. To wait for ever is not among them.
#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Choice {
    DropOldest,
    DropNewest,
    Disconnect,
    Wait,
}

impl PolicyRequest {
    /// Understands the body of a request.
    ///
    /// # Errors
    /// What is wrong with it, for the client.
    pub fn parse(body: &[u8], bounds: &PolicyBounds) -> Result<Self, String> {
        let body: Body = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let target = match (&body.subject, &body.sid) {
            (Some(subject), None) => Target::Subject(pattern(subject)?),
            (None, Some(sid)) => Target::Sid(sid.as_bytes().into()),
            _ => return Err("name the subscription by either subject or sid".to_owned()),
        };
        Ok(Self { target, policy: body.policy(bounds)? })
    }

    /// The answer: what holds from now on, and for how many subscriptions it already does.
    pub fn granted(&self, subscriptions: usize) -> Value {
        let QueuePolicy { when_full, queue_messages, queue_bytes, .. } = self.policy;
        let mut granted = json!({
            "subscriptions": subscriptions,
            "when_full": when_full.name(),
            "queue_messages": queue_messages,
            "queue_bytes": queue_bytes,
            "latest_by_subject": self.policy.latest_by_subject,
        });
        match &self.target {
            Target::Subject(subject) => granted["subject"] = json!(subject.as_str()),
            Target::Sid(sid) => granted["sid"] = json!(String::from_utf8_lossy(sid)),
        }
        if let WhenFull::Wait(wait) | WhenFull::Disconnect { after: wait } = when_full {
            granted["wait_ms"] = json!(wait.as_millis() as u64);
        }
        if let Some(interval) = self.policy.interval {
            granted["per_second"] = json!(1.0 / interval.as_secs_f64());
        }
        granted
    }
}

/// The answer to a request that is refused.
pub fn refused(error: &str) -> Value {
    json!({ "error": error })
}

impl QueuePolicy {
    /// Whether messages are taken out of the queue at once, to be replaced by newer ones.
    pub fn gathers(&self) -> bool {
        self.latest_by_subject || self.interval.is_some()
    }

    /// The bytes that its messages can keep: in the queue, and gathered from it.
    pub fn kept_bytes(&self) -> usize {
        self.queue_bytes * (1 + usize::from(self.gathers()))
    }
}

impl Body {
    fn policy(&self, bounds: &PolicyBounds) -> Result<QueuePolicy, String> {
        let gathers = self.latest_by_subject || self.per_second.is_some();
        let queue_bytes_max = bounds.queue_bytes / (1 + usize::from(gathers));
        let messages = bounded(
            "queue_messages",
            self.queue_messages,
            NATS_OWN_QUEUE_MESSAGES,
            bounds.queue_messages,
        )?;
        let bytes =
            bounded("queue_bytes", self.queue_bytes, NATS_OWN_QUEUE_BYTES, queue_bytes_max)?;
        Ok(QueuePolicy {
            when_full: self.when_full(gathers, bounds)?,
            queue_messages: messages,
            queue_bytes: bytes,
            latest_by_subject: self.latest_by_subject,
            interval: self.interval()?,
        })
    }

    fn when_full(&self, gathers: bool, bounds: &PolicyBounds) -> Result<WhenFull, String> {
        let wait_ms_max = bounds.wait.as_millis() as u64;
        if let Some(wait_ms) = self.wait_ms.filter(|wait_ms| *wait_ms > wait_ms_max) {
            return Err(format!("wait_ms is 0 to {wait_ms_max} here, not {wait_ms}"));
        }
        let wait = self.wait_ms.map_or(bounds.wait, Duration::from_millis);
        let waits = matches!(self.when_full, Some(Choice::Wait | Choice::Disconnect));
        match self.when_full {
            Some(choice) if gathers && choice != Choice::DropOldest => {
                Err("with latest_by_subject or per_second the newest wins: leave out when_full"
                    .to_owned())
            }
            _ if self.wait_ms.is_some() && !waits => {
                Err("wait_ms goes with when_full \"wait\" or \"disconnect\"".to_owned())
            }
            Some(Choice::DropOldest) => Ok(WhenFull::DropOldest),
            Some(Choice::DropNewest) => Ok(WhenFull::DropNewest),
            Some(Choice::Disconnect) => Ok(WhenFull::Disconnect { after: wait }),
            Some(Choice::Wait) => Ok(WhenFull::Wait(wait)),
            None if gathers => Ok(WhenFull::DropOldest),
            None => Ok(bounds.when_full),
        }
    }

    fn interval(&self) -> Result<Option<Duration>, String> {
        match self.per_second {
            Some(rate) if !(0.001..=1000.0).contains(&rate) => {
                Err(format!("per_second is 0.001 to 1000, not {rate}"))
            }
            rate => Ok(rate.map(|rate| Duration::from_secs_f64(1.0 / rate))),
        }
    }
}

fn pattern(subject: &str) -> Result<Pattern, String> {
    let pattern = subject::pattern_text(subject.as_bytes()).map(Pattern::parse);
    pattern.and_then(Result::ok).ok_or_else(|| "subject is not a valid subject".to_owned())
}

fn bounded(name: &str, asked: Option<usize>, default: usize, most: usize) -> Result<usize, String> {
    match asked {
        None => Ok(default.min(most)),
        Some(asked) if (1..=most).contains(&asked) => Ok(asked),
        Some(asked) => Err(format!("{name} is 1 to {most} here, not {asked}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_millis(20);
    const BOUNDS: PolicyBounds = PolicyBounds {
        queue_messages: 1_000,
        queue_bytes: 1 << 20,
        wait: WAIT,
        when_full: WhenFull::Disconnect { after: WAIT },
    };

    fn policy(settings: &str) -> Result<QueuePolicy, String> {
        let body = format!(r#"{{"subject":"a.*"{settings}}}"#);
        PolicyRequest::parse(body.as_bytes(), &BOUNDS).map(|request| request.policy)
    }

    #[test]
    fn unset_fields_have_the_servers_defaults() {
        let silent = policy("").unwrap();
        assert_eq!(silent.when_full, BOUNDS.when_full);
        assert_eq!((silent.queue_messages, silent.queue_bytes), (1_000, 1 << 20));
        assert!(!silent.gathers());
    }

    #[test]
    fn each_policy_can_be_chosen() {
        for (settings, when_full) in [
            (r#","when_full":"drop_oldest""#, WhenFull::DropOldest),
            (r#","when_full":"drop_newest""#, WhenFull::DropNewest),
            (r#","when_full":"wait""#, WhenFull::Wait(WAIT)),
            (r#","when_full":"wait","wait_ms":5"#, WhenFull::Wait(WAIT / 4)),
            (
                r#","when_full":"disconnect","wait_ms":0"#,
                WhenFull::Disconnect { after: Duration::ZERO },
            ),
            (r#","latest_by_subject":true"#, WhenFull::DropOldest),
            (r#","per_second":10"#, WhenFull::DropOldest),
        ] {
            assert_eq!(policy(settings).map(|policy| policy.when_full), Ok(when_full));
        }
        let rated = policy(r#","per_second":10,"queue_bytes":9"#).unwrap();
        assert_eq!(rated.interval, Some(Duration::from_millis(100)));
        assert_eq!((rated.queue_bytes, rated.kept_bytes()), (9, 18));
    }

    #[test]
    fn an_answer_says_what_is_wrong_or_what_holds() {
        for (settings, wrong) in [
            (r#","when_full":"block""#, "unknown variant `block`"),
            (r#","size":1"#, "unknown field `size`"),
            (r#","queue_messages":0"#, "queue_messages is 1 to 1000 here, not 0"),
            (r#","queue_bytes":1048577"#, "queue_bytes is 1 to 1048576 here, not 1048577"),
            (r#","per_second":1,"queue_bytes":600000"#, "queue_bytes is 1 to 524288 here"),
            (r#","when_full":"wait","wait_ms":21"#, "wait_ms is 0 to 20 here, not 21"),
            (r#","when_full":"drop_oldest","wait_ms":1"#, "wait_ms goes with when_full \"wait\""),
            (r#","when_full":"wait","per_second":1"#, "the newest wins: leave out when_full"),
            (r#","per_second":0"#, "per_second is 0.001 to 1000, not 0"),
            (r#","sid":"1""#, "by either subject or sid"),
        ] {
            let error = policy(settings).unwrap_err();
            assert!(error.contains(wrong), "{settings}: {error}");
        }
        let request = PolicyRequest::parse(br#"{"sid":"7","per_second":4}"#, &BOUNDS).unwrap();
        assert_eq!(request.target, Target::Sid(b"7"[..].into()));
        let granted = request.granted(1);
        assert_eq!((&granted["sid"], &granted["per_second"]), (&json!("7"), &json!(4.0)));
        assert_eq!(
            (&granted["when_full"], &granted["wait_ms"]),
            (&json!("drop_oldest"), &json!(null))
        );
    }
}
