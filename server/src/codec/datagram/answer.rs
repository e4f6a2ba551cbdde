//! Answers to senders. An answer never has more bytes than its datagram, so nobody can use the
//! server to flood somebody else.

use std::fmt;

/// The outcome of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer<'a> {
    /// The push was accepted.
    Accepted {
        /// Connections that the push is queued for.
        reached: u64,
        /// Connections that had no room for it.
        missed: u64,
        /// Connections that were too late for it, and connections that acknowledged it, if its
        /// sender waited for that.
        settled: Option<(u64, u64)>,
        /// Whether the push should be in the database, but is not known to be there.
        unstored: bool,
        /// The push's id, if its sender gave it one.
        id: Option<&'a str>,
    },
    /// The push was refused.
    Refused(&'a dyn Reason),
}

/// A reason in words.
pub trait Reason: fmt::Display + fmt::Debug {}

impl<T: fmt::Display + fmt::Debug> Reason for T {}

impl PartialEq for dyn Reason + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Eq for dyn Reason + '_ {}

/// Appends the longest form of an answer that is no longer than the request: `ok REACHED MISSED
/// ID`, `ok REACHED MISSED`, `ok`; with `EXPIRED ACKNOWLEDGED` after `MISSED` for a sender that
/// waited for that, and `unstored` in place of `ok`; or `error WHY`, cut off at its end. Nothing if
/// not even that fits.
pub fn append_answer(out: &mut Vec<u8>, answer: Answer<'_>, request_bytes: usize) {
    match answer {
        Answer::Accepted { reached, missed, settled, unstored, id } => {
            let done = if unstored { "unstored" } else { "ok" };
            let settled = settled
                .map(|(expired, acknowledged)| format!(" {expired} {acknowledged}"))
                .unwrap_or_default();
            let figures = format!("{done} {reached} {missed}{settled}");
            let with_id = id.map(|id| format!("{figures} {id}"));
            let forms = [with_id.as_deref(), Some(&figures), Some(done)];
            if let Some(form) = forms.into_iter().flatten().find(|form| form.len() <= request_bytes)
            {
                out.extend_from_slice(form.as_bytes());
            }
        }
        Answer::Refused(why) => {
            let mut text = format!("error {why}");
            text.truncate(text.floor_char_boundary(request_bytes));
            if text.len() >= "error".len() {
                out.extend_from_slice(text.as_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(answer: Answer<'_>, request_bytes: usize) -> String {
        let mut out = Vec::new();
        append_answer(&mut out, answer, request_bytes);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_answer_is_never_longer_than_the_request() {
        let accepted = |unstored, settled| {
            let (reached, missed, id) = (5000, 12, Some("o-17"));
            Answer::Accepted { reached, missed, settled, unstored, id }
        };
        let (settled, unstored) = (accepted(false, Some((0, 4999))), accepted(true, None));
        let accepted = accepted(false, None);
        let refused = Answer::Refused(&"\u{e9}\u{e9}\u{e9} is wrong");
        for request_bytes in 0..60 {
            assert!(answered(accepted, request_bytes).len() <= request_bytes);
            assert!(answered(settled, request_bytes).len() <= request_bytes);
            assert!(answered(unstored, request_bytes).len() <= request_bytes);
            assert!(answered(refused, request_bytes).len() <= request_bytes);
        }
        assert_eq!(answered(accepted, 60), "ok 5000 12 o-17");
        assert_eq!(answered(accepted, 14), "ok 5000 12");
        assert_eq!(answered(settled, 60), "ok 5000 12 0 4999 o-17");
        assert_eq!(
            (answered(settled, 18), answered(settled, 16)),
            ("ok 5000 12 0 4999".to_owned(), "ok".to_owned())
        );
        assert_eq!(
            (answered(accepted, 9), answered(accepted, 1)),
            ("ok".to_owned(), String::new())
        );
        assert_eq!(answered(unstored, 60), "unstored 5000 12 o-17");
        // The shortest request for an answer has ten bytes.
        assert_eq!(answered(unstored, "all;reply ".len()), "unstored");
        assert_eq!(answered(refused, 60), "error \u{e9}\u{e9}\u{e9} is wrong");
        assert_eq!(
            (answered(refused, 9), answered(refused, 4)),
            ("error \u{e9}".to_owned(), String::new())
        );
    }
}
