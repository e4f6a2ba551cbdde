//! Which topics a bridge carries.

use crate::topic::{Pattern, Topic};

/// What may leave through a bridge, whatever the other system asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope {
    /// Only these; `None`: everything.
    pub only: Option<Vec<Pattern>>,
    /// But not these.
    pub except: Vec<Pattern>,
    /// Whether the other system may be asked to find a member of a queue group when the local
    /// members have no room.
    pub takes_over: bool,
}

impl Scope {
    pub fn carries(&self, topic: &Topic) -> bool {
        self.only.as_ref().is_none_or(|only| only.iter().any(|pattern| pattern.matches(topic)))
            && !self.except.iter().any(|pattern| pattern.matches(topic))
    }
}
