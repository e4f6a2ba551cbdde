//! A received message, for people or programs.

use super::connection::Message;
use super::options::ShowOptions;
use crate::codec::nats::read_headers;
use data_encoding::BASE64;
use humantime::format_rfc3339_millis;
use serde_json::{Map, Value, json};
use std::io::{self, Write};
use std::time::SystemTime;

/// The header with which Fanfare says how many messages were missed before this one. A `+` behind
/// the number stands for an unknown number more.
const MISSED: &str = "Fanfare-Missed";

/// Writes the `number`th message.
pub fn show(
    output: &mut impl Write,
    number: u64,
    message: &Message,
    options: &ShowOptions,
) -> io::Result<()> {
    let time = options.times.then(|| format_rfc3339_millis(SystemTime::now()).to_string());
    if options.raw {
        output.write_all(&message.payload)?;
        return output.write_all(b"\n");
    }
    if options.json {
        return writeln!(output, "{}", object(number, message, time));
    }
    let (status, headers) = read_headers(&message.headers);
    if let Some((_, missed)) = headers.iter().find(|(name, _)| *name == MISSED) {
        match missed.strip_suffix('+') {
            Some("0") => writeln!(output, "(messages were missed here, nobody knows how many)")?,
            None => {
                let were = if *missed == "1" { "message was" } else { "messages were" };
                writeln!(output, "({} {were} missed here)", plain(missed))?
            }
            Some(least) => {
                writeln!(output, "({} or more messages were missed here)", plain(least))?
            }
        }
    }
    let time = time.map(|time| format!(" {time}")).unwrap_or_default();
    let reply = message.head.reply_to.as_ref().map(|to| format!(" with reply {:?}", plain(to)));
    let (subject, reply) = (plain(&message.head.subject), reply.unwrap_or_default());
    writeln!(output, "[#{number}]{time} Received on {subject:?}{reply}")?;
    for (name, value) in status.map(|status| ("Status", status)).into_iter().chain(headers) {
        writeln!(output, "{}: {}", plain(name), plain(value))?;
    }
    if !message.headers.is_empty() {
        writeln!(output)?;
    }
    writeln!(output, "{}\n", plain(&String::from_utf8_lossy(&message.payload)))
}

fn object(number: u64, message: &Message, time: Option<String>) -> Value {
    let (_, headers) = read_headers(&message.headers);
    let mut object = Map::new();
    object.insert("number".into(), json!(number));
    object.extend(time.map(|time| ("time".into(), json!(time))));
    object.insert("subject".into(), json!(message.head.subject));
    object.extend(message.head.reply_to.as_ref().map(|to| ("reply".into(), json!(to))));
    if let Some((_, missed)) = headers.iter().find(|(name, _)| *name == MISSED) {
        let least = missed.trim_end_matches('+').parse::<u64>().ok();
        object.extend(least.map(|least| ("missed".into(), json!(least))));
        if missed.ends_with('+') {
            object.insert("missed_more".into(), json!(true));
        }
    }
    if !headers.is_empty() {
        let pairs = headers.iter().map(|(name, value)| ((*name).to_owned(), json!(value)));
        object.insert("headers".into(), Value::Object(pairs.collect()));
    }
    let (key, payload) = match std::str::from_utf8(&message.payload) {
        Ok(text) => ("payload", text.to_owned()),
        Err(_) => ("payload_base64", BASE64.encode(&message.payload)),
    };
    object.insert(key.into(), json!(payload));
    Value::Object(object)
}

/// Text without what would move the cursor or change the terminal.
fn plain(text: &str) -> String {
    let shown =
        |it: char| if it.is_control() && !['\n', '\t'].contains(&it) { '\u{fffd}' } else { it };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::nats::MessageHead;

    fn shown(message: &Message, options: &ShowOptions) -> String {
        let mut output = Vec::new();
        show(&mut output, 3, message, options).unwrap();
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn gaps_headers_and_escapes_are_shown_as_text() {
        let head = MessageHead { subject: "a".into(), ..MessageHead::default() };
        let headers = "NATS/1.0\r\nFanfare-Missed: 17\r\nA: 1\r\n\r\n".to_owned();
        let message = Message { head, headers, payload: b"\x1b[2Jhello".to_vec() };
        let text = ShowOptions { json: false, raw: false, times: false };
        let expected = "(17 messages were missed here)\n[#3] Received on \"a\"\n\
                        Fanfare-Missed: 17\nA: 1\n\n\u{fffd}[2Jhello\n\n";
        assert_eq!(shown(&message, &text), expected);
        let json: Value =
            serde_json::from_str(&shown(&message, &ShowOptions { json: true, ..text })).unwrap();
        assert_eq!((&json["missed"], &json["headers"]["A"]), (&json!(17), &json!("1")));
        assert_eq!(json["missed_more"], Value::Null);
    }

    #[test]
    fn a_gap_of_unknown_size_is_no_number() {
        let text = ShowOptions { json: false, raw: false, times: false };
        let with = |missed: &str| {
            let headers = format!("NATS/1.0\r\nFanfare-Missed: {missed}\r\n\r\n");
            Message { headers, ..Message::default() }
        };
        let said = |missed: &str| shown(&with(missed), &text).lines().next().unwrap().to_owned();
        assert_eq!(said("0+"), "(messages were missed here, nobody knows how many)");
        assert_eq!(said("3+"), "(3 or more messages were missed here)");
        let json: Value =
            serde_json::from_str(&shown(&with("3+"), &ShowOptions { json: true, ..text })).unwrap();
        assert_eq!((&json["missed"], &json["missed_more"]), (&json!(3), &json!(true)));
    }
}
