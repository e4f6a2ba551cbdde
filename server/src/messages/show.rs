//! A received message, for people or programs.

use super::connection::Message;
use super::options::ShowOptions;
use crate::codec::nats::read_headers;
use data_encoding::BASE64;
use humantime::format_rfc3339_millis;
use serde_json::{Map, Value, json};
use std::io::{self, Write};
use std::time::SystemTime;

/// The header with which Fanfare says how many messages were missed before this one.
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
        writeln!(output, "({} messages were missed here)", plain(missed))?;
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
    let missed = headers.iter().find(|(name, _)| *name == MISSED);
    let missed = missed.and_then(|(_, value)| value.parse::<u64>().ok());
    object.extend(missed.map(|missed| ("missed".into(), json!(missed))));
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
    }
}
