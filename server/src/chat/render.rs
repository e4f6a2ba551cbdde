//! How messages look as lines of text.

use crate::codec::lines::{append_line, append_text};
use crate::message::{Kind, ServerMessage};

/// The sender's name for a message from a protocol without names. No person can have it.
pub const OUTSIDER: &str = "(outside)";

/// Appends a message: `[lobby] alice: hello`, `[lobby] * alice waves`, or `* alice left lobby`.
///
/// `prefix` is what stands for the place, with a space after it. Of text from elsewhere at most
/// `text_bytes` are shown, on one line, so that nobody can make up lines of others.
pub fn append_message(out: &mut Vec<u8>, prefix: &str, message: &ServerMessage, text_bytes: usize) {
    let sender = message.sender.as_deref().unwrap_or(OUTSIDER);
    match message.kind {
        Kind::Said => append_parts(out, &[prefix, sender, ": "]),
        Kind::Action => append_parts(out, &[prefix, "* ", sender, " "]),
        Kind::Notice | Kind::Gap => append_parts(out, &["* "]),
    }
    append_text(out, strip_line_end(message.payload()), text_bytes);
    out.push(b'\n');
}

/// Appends `* you missed 17 lines`, and of which room if there are several. 0 means that nobody
/// knows how many.
pub fn append_missed(out: &mut Vec<u8>, missed: u64, place: Option<&str>) {
    let lines = if missed == 1 { " line" } else { " lines" };
    let (of, place) = place.map_or(("", ""), |place| (" of ", place));
    if missed == 0 {
        let told = "* the cluster could not be reached; you may have missed lines";
        return append_line(out, &[told, of, place]);
    }
    append_line(out, &["* you missed ", &missed.to_string(), lines, of, place]);
}

/// Appends an answer by the server.
pub fn append_reply(out: &mut Vec<u8>, line: &str) {
    // The line may quote a person's text.
    append_text(out, line.as_bytes(), usize::MAX);
    out.push(b'\n');
}

fn append_parts(out: &mut Vec<u8>, parts: &[&str]) {
    for part in parts {
        out.extend_from_slice(part.as_bytes());
    }
}

/// Other protocols' payloads often end with a line end, which means nothing here.
fn strip_line_end(payload: &[u8]) -> &[u8] {
    let payload = payload.strip_suffix(b"\n").unwrap_or(payload);
    payload.strip_suffix(b"\r").unwrap_or(payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(message: &ServerMessage) -> String {
        let mut out = Vec::new();
        append_message(&mut out, "[lobby] ", message, 20);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_kind_has_its_form() {
        let said = ServerMessage { sender: Some("alice".into()), ..ServerMessage::of("hello") };
        assert_eq!(rendered(&said), "[lobby] alice: hello\n");
        assert_eq!(
            rendered(&ServerMessage { kind: Kind::Action, ..said.clone() }),
            "[lobby] * alice hello\n"
        );
        assert_eq!(rendered(&ServerMessage { kind: Kind::Notice, ..said }), "* hello\n");
    }

    #[test]
    fn text_from_peers_stays_on_one_line_of_a_bounded_length() {
        assert_eq!(rendered(&ServerMessage::of("hi\r\n")), "[lobby] (outside): hi\n");
        assert_eq!(
            rendered(&ServerMessage::of("hi\n[x] a: b")),
            "[lobby] (outside): hi\u{fffd}[x] a: b\n"
        );
        assert_eq!(
            rendered(&ServerMessage::of(&b"\xff\0"[..])),
            "[lobby] (outside): \u{fffd}\u{fffd}\n"
        );
        assert_eq!(
            rendered(&ServerMessage::of("x".repeat(30))),
            format!("[lobby] (outside): {}…\n", "x".repeat(20))
        );
    }

    #[test]
    fn a_gap_is_told_with_its_size() {
        let mut out = Vec::new();
        append_missed(&mut out, 17, None);
        append_missed(&mut out, 1, Some("rust"));
        assert_eq!(out, b"* you missed 17 lines\n* you missed 1 line of rust\n");
        out.clear();
        append_missed(&mut out, 0, Some("rust"));
        let told = "* the cluster could not be reached; you may have missed lines of rust\n";
        assert_eq!(out, told.as_bytes(), "nobody knows how many");
    }
}
