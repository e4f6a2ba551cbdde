//! Topics and patterns: parsed once, then trusted.

use crate::limits::{TOPIC_BYTES_MAX, TOPIC_TOKENS_MAX};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The name messages are published under: tokens joined by dots, `orders.eu.created`.
///
/// UTF-8 without white space or control characters, at most [`TOPIC_BYTES_MAX`] bytes and
/// [`TOPIC_TOKENS_MAX`] tokens, none of them empty. A token that is exactly `*` or `>` belongs in a
/// [`Pattern`]; `fo*` is an ordinary token, as it is in NATS. Cloning is cheap.
///
/// ```
/// use fanfare::Topic;
///
/// let topic = Topic::parse("orders.eu.created")?;
/// assert_eq!(topic.tokens().count(), 3);
/// assert_eq!(Topic::parse("orders..created").unwrap_err().to_string(),
///            "topic \"orders..created\": empty token at byte 7");
/// # Ok::<(), fanfare::TopicError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic(Arc<str>);

impl Topic {
    /// Checks `text` and copies it.
    ///
    /// # Errors
    /// [`TopicError`], which says what is wrong and where.
    pub fn parse(text: &str) -> Result<Self, TopicError> {
        check(text, Wildcards::Refused)?;
        Ok(Self(text.into()))
    }

    /// Checks `text` and copies it, taking `*` and `>` as ordinary tokens, as they are to a NATS
    /// publisher: `a.*` reaches subscriptions to `a.*` and to `>`, but not to `a.b`. Such topics
    /// are slower: nobody remembers whom they reach, and no history keeps them.
    ///
    /// # Errors
    /// [`TopicError`], which says what is wrong and where.
    pub fn literal(text: &str) -> Result<Self, TopicError> {
        check(text, Wildcards::Ordinary)?;
        Ok(Self(text.into()))
    }

    /// Whether a token of it would be a wildcard in a pattern.
    pub(crate) fn has_wildcard(&self) -> bool {
        let is_wildcard = |token: &[u8]| matches!(token, b"*" | b">");
        has_wildcard_byte(self.0.as_bytes())
            && self.0.as_bytes().split(|byte| *byte == b'.').any(is_wildcard)
    }

    /// The topic for the answers to one request, in NATS's form so that its clients can answer.
    pub(crate) fn inbox(number: u64) -> Self {
        Self(format!("_INBOX.fanfare.{number}").into())
    }

    /// What it has in common with its siblings, the topics that differ in their last token alone:
    /// all before that. `None` for a topic of one token.
    pub(crate) fn stem(&self) -> Option<&str> {
        self.0.rfind('.').map(|dot| &self.0[..=dot])
    }

    /// Whether both share one allocation, the quick way to know that they are equal.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// The topics that a subscription asks for: a topic in which `*` stands for one token and a final
/// `>` for one or more.
///
/// ```
/// use fanfare::{Pattern, Topic};
///
/// let pattern = Pattern::parse("orders.*.>")?;
/// assert!(pattern.matches(&Topic::parse("orders.eu.created")?));
/// assert!(!pattern.matches(&Topic::parse("orders.eu")?));
/// # Ok::<(), fanfare::TopicError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pattern(Arc<str>);

impl Pattern {
    /// Checks `text` and copies it.
    ///
    /// # Errors
    /// [`TopicError`], which says what is wrong and where.
    pub fn parse(text: &str) -> Result<Self, TopicError> {
        check(text, Wildcards::Allowed)?;
        Ok(Self(text.into()))
    }

    /// Whether the pattern has no wildcard, and so matches exactly one topic.
    pub fn is_literal(&self) -> bool {
        self.tokens().all(|token| token != ANY_ONE && token != ANY_REST)
    }

    /// Whether the pattern matches `topic`.
    pub fn matches(&self, topic: &Topic) -> bool {
        self.match_each(topic, |_| {})
    }

    /// Whether it can match topics with the first token of `topic`.
    pub(crate) fn begins_like(&self, topic: &Topic) -> bool {
        let first = self.tokens().next();
        matches!(first, Some(ANY_ONE | ANY_REST)) || first == topic.tokens().next()
    }

    /// The parts of `topic` that the wildcards stand for, first to last: one token for `*`, and all
    /// that is left for `>`. `None` if the pattern does not match.
    ///
    /// ```
    /// use fanfare::{Pattern, Topic};
    ///
    /// let (pattern, topic) = (Pattern::parse("orders.*.>")?, Topic::parse("orders.eu.new.7")?);
    /// assert_eq!(pattern.captures(&topic), Some(vec!["eu", "new.7"]));
    /// assert_eq!(pattern.captures(&Topic::parse("orders.eu")?), None);
    /// # Ok::<(), fanfare::TopicError>(())
    /// ```
    pub fn captures<'t>(&self, topic: &'t Topic) -> Option<Vec<&'t str>> {
        let mut captures = Vec::new();
        self.match_each(topic, |capture| captures.push(capture)).then_some(captures)
    }

    /// Whether it matches; `see` is shown what each wildcard stands for, up to where it does not.
    fn match_each<'t>(&self, topic: &'t Topic, mut see: impl FnMut(&'t str)) -> bool {
        let [own, other] = [&self.0, &topic.0].map(|text| text.as_bytes().first());
        if own != other && !matches!(own, Some(b'*' | b'>')) {
            // Most that do not match differ from the first byte on.
            return false;
        }
        let mut rest = Some(topic.as_str());
        for token in self.tokens() {
            let Some(left) = rest else { return false };
            if token == ANY_REST {
                see(left);
                return true;
            }
            let (first, further) = left
                .split_once('.')
                .map_or((left, None), |(first, further)| (first, Some(further)));
            match token {
                ANY_ONE => see(first),
                _ if token == first => {}
                _ => return false,
            }
            rest = further;
        }
        rest.is_none()
    }
}

/// The token that stands for one token.
pub(crate) const ANY_ONE: &str = "*";
/// The last token that stands for one or more tokens.
pub(crate) const ANY_REST: &str = ">";

/// Why a text is not a [`Topic`] or [`Pattern`], and where it goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicError {
    text: String,
    position: usize,
    kind: TopicErrorKind,
}

/// The reason why a text is no topic or no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TopicErrorKind {
    /// The text is empty.
    Empty,
    /// There is nothing between two dots, before the first, or after the last.
    EmptyToken,
    /// White space or a control character.
    Character(char),
    /// `*` or `>` in a topic: only a pattern may have them.
    Wildcard,
    /// `>` anywhere but at the end of a pattern.
    RestNotLast,
    /// Longer than [`TOPIC_BYTES_MAX`].
    TooLong,
    /// More tokens than [`TOPIC_TOKENS_MAX`].
    TooManyTokens,
}

impl TopicError {
    /// The reason.
    pub fn kind(&self) -> TopicErrorKind {
        self.kind
    }

    /// The byte of the text at which it goes wrong.
    pub fn position(&self) -> usize {
        self.position
    }
}

impl fmt::Display for TopicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "topic {:?}: ", self.text)?;
        let position = self.position;
        match self.kind {
            TopicErrorKind::Empty => write!(f, "it is empty"),
            TopicErrorKind::EmptyToken => write!(f, "empty token at byte {position}"),
            TopicErrorKind::Character(found) => {
                write!(f, "character {found:?} at byte {position} is not allowed")
            }
            TopicErrorKind::Wildcard => {
                write!(f, "wildcard at byte {position}: only a pattern may have one")
            }
            TopicErrorKind::RestNotLast => {
                write!(f, "'>' at byte {position} must be the last token")
            }
            TopicErrorKind::TooLong => write!(f, "longer than {TOPIC_BYTES_MAX} bytes"),
            TopicErrorKind::TooManyTokens => {
                write!(f, "more than {TOPIC_TOKENS_MAX} tokens, from byte {position}")
            }
        }
    }
}

impl std::error::Error for TopicError {}

macro_rules! as_text {
    ($($name:ident),*) => { $(
        impl $name {
            /// The text, as it was written.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The tokens, first to last; at least one.
            pub fn tokens(&self) -> impl Iterator<Item = &str> {
                self.0.split('.')
            }
        }

        impl FromStr for $name {
            type Err = TopicError;
            fn from_str(text: &str) -> Result<Self, TopicError> {
                Self::parse(text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = TopicError;
            fn try_from(text: &str) -> Result<Self, TopicError> {
                Self::parse(text)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.as_str())
            }
        }
    )* };
}

as_text!(Topic, Pattern);

impl From<Topic> for Pattern {
    /// The pattern that matches this topic alone.
    fn from(topic: Topic) -> Self {
        Self(topic.0)
    }
}

impl From<&Topic> for Pattern {
    /// The pattern that matches this topic alone.
    fn from(topic: &Topic) -> Self {
        Self(topic.0.clone())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wildcards {
    Allowed,
    Refused,
    Ordinary,
}

/// Whether any byte is one of a wildcard. Written so that many bytes are looked at in one step.
fn has_wildcard_byte(text: &[u8]) -> bool {
    text.iter().fold(0, |found, byte| found | u8::from(*byte == b'*') | u8::from(*byte == b'>')) > 0
}

/// Whether [`check`] need not look at its tokens one by one. It need not at nearly all topics.
fn is_plain(text: &[u8]) -> bool {
    let is_dot = |byte: &u8| u8::from(*byte == b'.');
    let is_odd = |byte: &u8| u8::from(*byte <= b' ') | u8::from(*byte >= 0x7f);
    // So short that it has not too many tokens if none is empty.
    text.len() < 2 * TOPIC_TOKENS_MAX
        && ![text.first(), text.last()].into_iter().any(|end| end.is_none_or(|end| *end == b'.'))
        && text.iter().fold(0, |odd, byte| odd | is_odd(byte)) == 0
        && text
            .iter()
            .zip(&text[1..])
            .fold(0, |empty, (one, next)| empty | is_dot(one) & is_dot(next))
            == 0
        && !has_wildcard_byte(text)
}

fn check(text: &str, wildcards: Wildcards) -> Result<(), TopicError> {
    if is_plain(text.as_bytes()) {
        return Ok(());
    }
    // A refused text is quoted in the error, so it must not be longer than what it was refused for.
    let fail = |position, kind| {
        let text = text.chars().take(TOPIC_BYTES_MAX).collect();
        Err(TopicError { text, position, kind })
    };
    if text.is_empty() {
        return fail(0, TopicErrorKind::Empty);
    }
    if text.len() > TOPIC_BYTES_MAX {
        return fail(TOPIC_BYTES_MAX, TopicErrorKind::TooLong);
    }
    let is_wrong = |found: char| found.is_whitespace() || found.is_control();
    if let Some((position, found)) = text.char_indices().find(|(_, found)| is_wrong(*found)) {
        return fail(position, TopicErrorKind::Character(found));
    }
    let mut position = 0;
    // Bytes are quicker than characters where tokens are short.
    for (index, token) in text.as_bytes().split(|byte| *byte == b'.').enumerate() {
        let is_last = position + token.len() == text.len();
        match token {
            b"" => return fail(position, TopicErrorKind::EmptyToken),
            _ if index == TOPIC_TOKENS_MAX => return fail(position, TopicErrorKind::TooManyTokens),
            b"*" | b">" if wildcards == Wildcards::Refused => {
                return fail(position, TopicErrorKind::Wildcard);
            }
            b">" if !is_last && wildcards == Wildcards::Allowed => {
                return fail(position, TopicErrorKind::RestNotLast);
            }
            _ => position += token.len() + 1,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_topic_may_look_like_a_pattern() {
        let literal = |text: &str| Topic::literal(text).unwrap();
        assert!(Pattern::parse("a.*").unwrap().matches(&literal("a.*")));
        assert!(Pattern::parse("a.*").unwrap().matches(&literal("a.>")));
        assert!(Pattern::parse("a.>").unwrap().matches(&literal("a.>.b")));
        assert!(!Pattern::parse("a.b").unwrap().matches(&literal("a.*")));
        assert!(literal("a.*").has_wildcard() && !literal("a.b*").has_wildcard());
        assert_eq!(Topic::literal("a..*").unwrap_err().kind(), TopicErrorKind::EmptyToken);
    }
}
