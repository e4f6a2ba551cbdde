//! The rights that a hub gives its leaf node.

use crate::codec::nats::subject::pattern_text;
use fanfare::Pattern;
use serde::Deserialize;

/// The subjects that a leaf node may subscribe to, or publish on.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub(super) struct Rules {
    allow: Option<Vec<String>>,
    deny: Vec<String>,
}

impl Rules {
    /// The allowed patterns; `None`: everything that is not denied.
    pub fn allowed(&self) -> Option<Vec<Pattern>> {
        self.allow.as_ref().map(|allow| patterns(allow))
    }

    pub fn denied(&self) -> Vec<Pattern> {
        patterns(&self.deny)
    }
}

/// The patterns that can match a topic here; longer or deeper ones match none.
fn patterns(texts: &[String]) -> Vec<Pattern> {
    let texts = texts.iter().filter_map(|text| pattern_text(text.as_bytes()));
    texts.filter_map(|text| Pattern::parse(text).ok()).collect()
}
