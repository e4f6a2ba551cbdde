//! The topics that a bridge carries.

use crate::topic::{Pattern, Topic};

/// The topics that may leave through a bridge, whatever the other system asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope {
    /// Only what each of these lists has.
    pub only: Vec<Vec<Pattern>>,
    /// But not these.
    pub except: Vec<Pattern>,
    /// Unless these have it.
    pub unless: Vec<Pattern>,
    /// Not these, whatever else is said.
    pub never: Vec<Pattern>,
    /// Whether the other system may be asked to find a member of a queue group when the local
    /// members have no room.
    pub takes_over: bool,
}

impl Scope {
    pub fn carries(&self, topic: &Topic) -> bool {
        let matches = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(topic));
        self.only.iter().all(|only| matches(only))
            && (!matches(&self.except) || matches(&self.unless))
            && !matches(&self.never)
    }
}
