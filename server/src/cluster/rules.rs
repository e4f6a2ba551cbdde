//! What a hub allows its leaf node.

use crate::codec::nats::subject::pattern_text;
use fanfare::Pattern;
use serde::Deserialize;

/// What a leaf node may subscribe to, or publish to.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub(super) struct Rules {
    allow: Option<Vec<String>>,
    deny: Vec<String>,
}

impl Rules {
    /// What is allowed; `None`: everything that is not denied.
    pub fn allowed(&self) -> Option<Vec<Pattern>> {
        self.allow.as_ref().map(|allow| patterns(allow))
    }

    pub fn denied(&self) -> Vec<Pattern> {
        patterns(&self.deny)
    }
}

/// Those that can match a topic here: a longer or deeper one matches none.
fn patterns(texts: &[String]) -> Vec<Pattern> {
    let texts = texts.iter().filter_map(|text| pattern_text(text.as_bytes()));
    texts.filter_map(|text| Pattern::parse(text).ok()).collect()
}
