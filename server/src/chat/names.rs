//! Names of people and rooms: what they may look like, and when two are the same.

use crate::limits::{COMBINING_MARKS, NAME_BYTES, RESERVED_NAMES};
use fanfare::{Topic, TopicError};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_security::{
    MixedScript, RestrictionLevel, RestrictionLevelDetection, confusable_detection::skeleton,
};

/// The name of the room that everybody begins in.
pub const LOBBY: &str = "lobby";

/// A valid name. Two names that differ only in case or Unicode spelling are equal.
#[derive(Clone, Debug)]
pub struct Name {
    shown: Arc<str>,
    topic: Topic,
    /// How many bytes of the topic stand before the folded name.
    prefix_bytes: usize,
}

/// The kind of thing that a name is for; decides its topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameOf {
    /// `chat.user.<name>`: private messages. Shown as its owner wrote it.
    Person,
    /// `chat.room.<name>`. Shown folded, as in the topic.
    Room,
}

/// The reason why a name is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameError {
    /// The name is empty.
    Empty,
    /// The name has more characters, or more bytes, than allowed.
    TooLong {
        /// Characters that a name may have.
        max_characters: usize,
    },
    /// This character may not be in a name, or not at this place.
    NotAllowed {
        character: char,
        /// The character's position, counted from 1.
        position: usize,
    },
    /// The letters are of several scripts, which can look alike.
    MixedScripts,
    /// The name cannot be part of a topic.
    NotATopic(TopicError),
}

impl fmt::Display for NameError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(out, "a name needs at least one letter or digit"),
            Self::TooLong { max_characters } => {
                write!(out, "that name is too long; at most {max_characters} characters")
            }
            Self::NotAllowed { character, position } => {
                let code = u32::from(*character);
                write!(
                    out,
                    "character {position} (U+{code:04X}) cannot be in a name; use letters, digits, \
                     - and _"
                )
            }
            Self::MixedScripts => {
                write!(out, "that name mixes letters of several scripts; use those of one")
            }
            Self::NotATopic(error) => write!(out, "that name cannot be used: {error}"),
        }
    }
}

impl std::error::Error for NameError {}

impl Name {
    /// Checks a name: letters and digits of one script, `-` and `_`, nothing invisible, no more
    /// than `max_characters`.
    pub fn parse(text: &str, name_of: NameOf, max_characters: usize) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        // Bytes first: what comes after is work in proportion to them.
        if text.len() > NAME_BYTES || text.chars().count() > max_characters {
            return Err(NameError::TooLong { max_characters });
        }
        check_characters(text)?;
        let folded = fold(text);
        // Folding can lengthen a name and bring in other characters: one code point may stand for a
        // whole phrase.
        check_characters(&folded)?;
        if !is_of_one_script(&folded) {
            return Err(NameError::MixedScripts);
        }
        if folded.len() > NAME_BYTES {
            return Err(NameError::TooLong { max_characters });
        }
        let (prefix, shown): (&str, String) = match name_of {
            NameOf::Person => ("chat.user.", text.nfc().collect()),
            NameOf::Room => ("chat.room.", folded.clone()),
        };
        let topic = Topic::parse(&format!("{prefix}{folded}")).map_err(NameError::NotATopic)?;
        Ok(Self { shown: Arc::from(shown), topic, prefix_bytes: prefix.len() })
    }

    /// The name as people read it.
    pub fn as_str(&self) -> &str {
        &self.shown
    }

    /// The name as people read it, shared.
    pub fn shared(&self) -> Arc<str> {
        self.shown.clone()
    }

    /// The topic for messages to this person or room.
    pub fn topic(&self) -> &Topic {
        &self.topic
    }

    /// The name's looks, as written and in lower case. People take two names for the same that
    /// have one of these in common.
    pub fn looks(&self) -> [String; 2] {
        [look(&self.shown), look(self.folded())]
    }

    /// Whether it is reserved, or looks like a name that is.
    pub fn is_reserved(&self) -> bool {
        static RESERVED: LazyLock<Vec<String>> = LazyLock::new(|| RESERVED_NAMES.map(look).into());
        self.looks().iter().any(|look| RESERVED.contains(look))
    }

    /// Whether `shown`, as its owner writes it, is this name.
    pub fn is_written(&self, shown: &str) -> bool {
        self.as_str() == shown || fold(shown) == self.folded()
    }

    /// Whether the server gives such names to those who have not chosen one.
    pub fn is_guest(&self) -> bool {
        let number = self.folded().strip_prefix("guest");
        number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
    }

    /// The name as it is compared.
    pub fn folded(&self) -> &str {
        &self.topic.as_str()[self.prefix_bytes..]
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.topic == other.topic
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.topic.hash(state);
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.folded().cmp(other.folded()).then_with(|| self.topic.cmp(&other.topic))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.shown)
    }
}

/// One spelling for all that look the same but for case: full-width and ligature forms too. Lower
/// case can bring in marks that want to be put together again, hence twice.
fn fold(text: &str) -> String {
    text.nfkc().flat_map(char::to_lowercase).nfkc().collect()
}

/// The same for all names that look the same in some case: the skeletons of UTS #39. Folded between
/// two of them, since 0 looks like O, and O is o.
fn look(text: &str) -> String {
    let look: String = skeleton(text).collect();
    skeleton(&fold(&look)).collect()
}

/// Whether all letters are of one script. Chinese, Japanese and Korean are written with several,
/// and with Latin beside them.
fn is_of_one_script(text: &str) -> bool {
    text.is_single_script() || text.check_restriction_level(RestrictionLevel::HighlyRestrictive)
}

fn check_characters(text: &str) -> Result<(), NameError> {
    let mut marks = 0;
    for (index, character) in text.chars().enumerate() {
        let is_mark = is_combining_mark(character);
        marks = if is_mark { marks + 1 } else { 0 };
        let is_allowed = if is_mark {
            index > 0 && marks <= COMBINING_MARKS
        } else {
            character.is_alphanumeric() || matches!(character, '-' | '_')
        };
        if !is_allowed || is_invisible(character) {
            return Err(NameError::NotAllowed { character, position: index + 1 });
        }
    }
    match text.chars().any(char::is_alphanumeric) {
        true => Ok(()),
        false => Err(NameError::Empty),
    }
}

/// Letters and marks that show nothing (Unicode's Default_Ignorable_Code_Point among them): with
/// these two names could look the same. Control, bidirectional and zero-width characters are no
/// letters, and refused as such.
fn is_invisible(character: char) -> bool {
    matches!(character,
        '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(text: &str) -> Result<Name, NameError> {
        Name::parse(text, NameOf::Person, 24)
    }

    #[test]
    fn names_of_any_script_are_kept_as_written() {
        for text in ["alice", "Ünsal_7", "иван", "李雷", "محمد", "नमस्ते", "a-b"]
        {
            assert_eq!(person(text).unwrap().as_str(), text);
        }
        assert_eq!(person("Alice").unwrap().topic().as_str(), "chat.user.alice");
        let room = Name::parse("Rust", NameOf::Room, 24).unwrap();
        assert_eq!((room.as_str(), room.topic().as_str()), ("rust", "chat.room.rust"));
    }

    #[test]
    fn the_same_name_in_another_case_or_spelling_is_the_same() {
        for (one, other) in
            [("alice", "ALICE"), ("alice", "ａｌｉｃｅ"), ("é", "e\u{301}"), ("ſam", "Sam")]
        {
            assert_eq!(person(one).unwrap(), person(other).unwrap(), "{one} {other}");
        }
        assert_ne!(person("alice").unwrap(), person("alicf").unwrap());
        let alice = person("Alice").unwrap();
        assert!(alice.is_written("aLICE") && !alice.is_written("alicf"));
    }

    #[test]
    fn invisible_and_reordering_characters_are_refused() {
        let refused = [
            '\u{202e}',
            '\u{202a}',
            '\u{2066}',
            '\u{2069}',
            '\u{200e}',
            '\u{200b}',
            '\u{200d}',
            '\u{feff}',
            '\u{ad}',
            '\u{3164}',
            '\u{115f}',
            '\u{fe0f}',
            '\u{e0041}',
            '\u{7}',
            '\u{1b}',
            '\u{85}',
            '\u{a0}',
            ' ',
            '.',
            '*',
            '>',
            '/',
            '(',
            '[',
            ':',
            '\u{fdfa}',
            '\u{2028}',
        ];
        for character in refused {
            let error = person(&format!("a{character}b")).unwrap_err();
            assert!(matches!(error, NameError::NotAllowed { .. }), "{character:?}: {error}");
        }
        assert_eq!(
            person("\u{301}a"),
            Err(NameError::NotAllowed { character: '\u{301}', position: 1 })
        );
    }

    #[test]
    fn letters_of_several_scripts_are_refused_unless_one_language_uses_them() {
        let cyrillic_a = "\u{430}lice";
        for text in [cyrillic_a, "a\u{3b1}", "bоb", "иvan", "alice_محمد", "नa"] {
            assert_eq!(person(text), Err(NameError::MixedScripts), "{text}");
        }
        for text in ["日本の東京", "トム_tom", "李雷2", "김민준kim", "ราตรี", "ひらカタ漢字", "שלום"]
        {
            assert_eq!(person(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn names_that_look_alike_share_a_look() {
        let share = |one: &str, other: &str| {
            let (one, other) = (person(one).unwrap().looks(), person(other).unwrap().looks());
            one.iter().any(|look| other.contains(look))
        };
        let alike = [
            ("alice", "a1ice"),
            ("alice", "AIice"),
            ("alice", "ALICE"),
            ("bob", "b0b"),
            ("ace", "\u{430}\u{441}\u{435}"),
            ("Ace", "\u{410}\u{421}\u{415}"),
            ("guest1", "guestl"),
        ];
        for (one, other) in alike {
            assert!(share(one, other) && share(other, one), "{one} {other}");
        }
        for (one, other) in [("alice", "alicia"), ("guest1", "guest2"), ("иван", "ivan")] {
            assert!(!share(one, other), "{one} {other}");
        }
    }

    #[test]
    fn names_that_speak_for_the_server_are_reserved() {
        for text in ["Server", "ADMIN", "r00t", "he1p", "ｒｏｏｔ"] {
            assert!(person(text).unwrap().is_reserved(), "{text}");
        }
        assert!(!person("alice").unwrap().is_reserved());
        for text in RESERVED_NAMES {
            assert!(person(text).unwrap().is_reserved(), "{text}");
        }
    }

    #[test]
    fn marks_are_not_piled_up() {
        let name = |marks: usize| format!("a{}", "\u{323}".repeat(marks));
        assert!(person(&name(COMBINING_MARKS)).is_ok());
        let refused = person(&name(COMBINING_MARKS + 2)).unwrap_err();
        assert!(matches!(refused, NameError::NotAllowed { character: '\u{323}', .. }));
    }

    #[test]
    fn length_is_counted_in_characters() {
        let longest = "ä".repeat(24);
        assert!(person(&longest).is_ok());
        assert_eq!(person(&format!("{longest}x")), Err(NameError::TooLong { max_characters: 24 }));
        assert_eq!(person(""), Err(NameError::Empty));
        assert_eq!(person("--"), Err(NameError::Empty));
    }
}
