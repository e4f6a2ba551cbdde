//! Renders the lines of the protocol.

use super::headers;

/// A message on its way to a subscriber.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// The subject it was published on.
    pub subject: &'a [u8],
    /// The reply subject.
    pub reply_to: Option<&'a [u8]>,
    /// A block of [`headers`]; empty if there are none.
    pub headers: &'a [u8],
    /// The payload.
    pub payload: &'a [u8],
    /// The size of the headers and of all, as the publisher wrote them. (Observed: they are passed
    /// on so, `0000002`.) None: as plain numbers.
    pub sizes_as_written: Option<(&'a [u8], &'a [u8])>,
}

/// Appends a `MSG`, or an `HMSG` if there are headers and the client knows them. (Observed: a
/// client that does not know them gets the message without; headers of length 0 are none.)
pub fn append_message(out: &mut Vec<u8>, message: &Outgoing<'_>, sid: &[u8], with_headers: bool) {
    let mut number = itoa::Buffer::new();
    let mut header_number = itoa::Buffer::new();
    let headers = if with_headers { message.headers } else { &[] };
    let is_whole = headers.len() == message.headers.len();
    let (header_size, size) = match message.sizes_as_written {
        Some(sizes) if is_whole => sizes,
        _ => (
            header_number.format(headers.len()).as_bytes(),
            number.format(headers.len() + message.payload.len()).as_bytes(),
        ),
    };
    append_line(out, message, sid, (!headers.is_empty()).then_some(header_size), size);
    out.extend_from_slice(headers);
    out.extend_from_slice(message.payload);
    out.extend_from_slice(b"\r\n");
}

/// Appends an `HMSG` with one more header than the message has, for a client that knows headers.
pub fn append_message_with_header(
    out: &mut Vec<u8>,
    message: &Outgoing<'_>,
    sid: &[u8],
    name: &str,
    value: &str,
) {
    let mut header = Vec::with_capacity(message.headers.len() + 64);
    headers::append_with(&mut header, message.headers, name, value.as_bytes());
    append_message(
        out,
        &Outgoing { headers: &header, sizes_as_written: None, ..*message },
        sid,
        true,
    );
}

/// Appends an `LMSG`, or an `HMSG` if there are headers, as a hub reads it from its leaf node: for
/// its plain subscribers, and for one member of each of these queue groups.
pub fn append_to_hub<'g>(
    out: &mut Vec<u8>,
    message: &Outgoing<'_>,
    groups: impl Iterator<Item = &'g str>,
) {
    let verb: &[u8] = if message.headers.is_empty() { b"LMSG " } else { b"HMSG " };
    out.extend_from_slice(verb);
    out.extend_from_slice(message.subject);
    let mut groups = groups.peekable();
    let mark: &[u8] = match (message.reply_to, groups.peek()) {
        (Some(_), Some(_)) => b" +",
        (None, Some(_)) => b" |",
        (_, None) => b"",
    };
    out.extend_from_slice(mark);
    let mut append_word = |word: &[u8]| {
        out.push(b' ');
        out.extend_from_slice(word);
    };
    message.reply_to.into_iter().for_each(&mut append_word);
    groups.for_each(|group| append_word(group.as_bytes()));
    let mut number = itoa::Buffer::new();
    let total = message.headers.len() + message.payload.len();
    let header_size = (!message.headers.is_empty()).then_some(message.headers.len());
    for size in header_size.into_iter().chain([total]) {
        out.push(b' ');
        out.extend_from_slice(number.format(size).as_bytes());
    }
    for part in [b"\r\n", message.headers, message.payload, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

/// Appends an `LS+` or `LS-`: interest that a leaf node tells its hub. A group has a weight as long
/// as it has members.
pub fn append_interest(out: &mut Vec<u8>, subject: &str, group: Option<&str>, weight: usize) {
    let verb = if weight > 0 { "LS+ " } else { "LS- " };
    for part in [verb, subject] {
        out.extend_from_slice(part.as_bytes());
    }
    if let Some(group) = group {
        out.push(b' ');
        out.extend_from_slice(group.as_bytes());
        if weight > 0 {
            out.push(b' ');
            out.extend_from_slice(itoa::Buffer::new().format(weight).as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends the answer that a client gets when nobody is subscribed to the subject of its request.
/// Newer servers name that subject. (Observed.)
pub fn append_no_responders(
    out: &mut Vec<u8>,
    reply_to: &[u8],
    sid: &[u8],
    subject: Option<&[u8]>,
) {
    let mut headers = Vec::new();
    match subject {
        Some(subject) => {
            headers::append_with(&mut headers, headers::NO_RESPONDERS, "Nats-Subject", subject);
        }
        None => headers.extend_from_slice(headers::NO_RESPONDERS),
    }
    let message = Outgoing {
        subject: reply_to,
        reply_to: None,
        headers: &headers,
        payload: b"",
        sizes_as_written: None,
    };
    append_message(out, &message, sid, true);
}

/// Appends an `INFO` with this JSON, which has to be on one line.
pub fn append_info(out: &mut Vec<u8>, json: &[u8]) {
    for part in [&b"INFO "[..], json, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

/// Appends a `+OK`, which a client gets for each of its operations if it asked for that with
/// `verbose`.
pub fn append_ok(out: &mut Vec<u8>) {
    out.extend_from_slice(b"+OK\r\n");
}

/// Appends a `PING`.
pub fn append_ping(out: &mut Vec<u8>) {
    out.extend_from_slice(b"PING\r\n");
}

/// Appends a `PONG`.
pub fn append_pong(out: &mut Vec<u8>) {
    out.extend_from_slice(b"PONG\r\n");
}

/// Appends an `-ERR` with the text between quotes.
pub fn append_error(out: &mut Vec<u8>, text: &str) {
    for part in ["-ERR '", text, "'\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

fn append_line(
    out: &mut Vec<u8>,
    message: &Outgoing<'_>,
    sid: &[u8],
    header_size: Option<&[u8]>,
    size: &[u8],
) {
    let verb: &[u8] = if header_size.is_some() { b"HMSG " } else { b"MSG " };
    let [reply_to, header_size] = [message.reply_to, header_size].map(Option::unwrap_or_default);
    let words_bytes: usize =
        [message.subject, sid, reply_to, header_size, size].map(<[u8]>::len).iter().sum();
    out.reserve(
        "HMSG     \r\n\r\n".len() + words_bytes + message.headers.len() + message.payload.len(),
    );
    for part in [verb, message.subject, b" ", sid, b" "] {
        out.extend_from_slice(part);
    }
    for word in [reply_to, header_size] {
        if !word.is_empty() {
            out.extend_from_slice(word);
            out.push(b' ');
        }
    }
    out.extend_from_slice(size);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(append: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = b"before ".to_vec();
        append(&mut out);
        String::from_utf8(out).unwrap().strip_prefix("before ").unwrap().to_owned()
    }

    const PLAIN: Outgoing<'static> = Outgoing {
        subject: b"foo",
        reply_to: None,
        headers: b"",
        payload: b"hello",
        sizes_as_written: None,
    };
    const WITH_HEADERS: Outgoing<'static> =
        Outgoing { reply_to: Some(b"re.ply"), headers: b"NATS/1.0\r\nA: 1\r\n\r\n", ..PLAIN };

    #[test]
    fn messages_with_and_without_headers() {
        let message =
            |message: Outgoing<'_>, with| rendered(|out| append_message(out, &message, b"9", with));
        assert_eq!(message(PLAIN, true), "MSG foo 9 5\r\nhello\r\n");
        assert_eq!(message(PLAIN, false), "MSG foo 9 5\r\nhello\r\n");
        assert_eq!(
            message(WITH_HEADERS, true),
            "HMSG foo 9 re.ply 18 23\r\nNATS/1.0\r\nA: 1\r\n\r\nhello\r\n"
        );
        assert_eq!(message(WITH_HEADERS, false), "MSG foo 9 re.ply 5\r\nhello\r\n");
        assert_eq!(message(Outgoing { payload: b"", ..PLAIN }, true), "MSG foo 9 0\r\n\r\n");
    }

    #[test]
    fn sizes_are_as_written_unless_the_headers_are_taken_off() {
        let written = Outgoing { sizes_as_written: Some((b"018", b"0023")), ..WITH_HEADERS };
        let message = |with| rendered(|out| append_message(out, &written, b"9", with));
        assert!(message(true).starts_with("HMSG foo 9 re.ply 018 0023\r\n"));
        assert!(message(false).starts_with("MSG foo 9 re.ply 5\r\n"));
    }

    #[test]
    fn a_gap_is_told_as_a_header() {
        let message = |message: Outgoing<'_>| {
            rendered(|out| append_message_with_header(out, &message, b"9", "Fanfare-Missed", "17"))
        };
        let alone = "HMSG foo 9 32 37\r\nNATS/1.0\r\nFanfare-Missed: 17\r\n\r\nhello\r\n";
        assert_eq!(message(PLAIN), alone);
        assert_eq!(message(Outgoing { sizes_as_written: Some((b"", b"005")), ..PLAIN }), alone);
        let among_others =
            "HMSG foo 9 re.ply 38 43\r\nNATS/1.0\r\nFanfare-Missed: 17\r\nA: 1\r\n\r\nhello\r\n";
        assert_eq!(message(WITH_HEADERS), among_others);
    }

    #[test]
    fn all_else_that_is_sent() {
        let missing =
            |subject| rendered(|out| append_no_responders(out, b"_INBOX.a", b"3", subject));
        assert_eq!(missing(None), "HMSG _INBOX.a 3 16 16\r\nNATS/1.0 503\r\n\r\n\r\n");
        assert_eq!(
            missing(Some(b"nobody")),
            "HMSG _INBOX.a 3 38 38\r\nNATS/1.0 503\r\nNats-Subject: nobody\r\n\r\n\r\n"
        );
        assert_eq!(rendered(|out| append_info(out, b"{\"a\":1}")), "INFO {\"a\":1}\r\n");
        assert_eq!(rendered(append_ok), "+OK\r\n");
        assert_eq!(rendered(append_ping) + &rendered(append_pong), "PING\r\nPONG\r\n");
        assert_eq!(rendered(|out| append_error(out, "Slow Consumer")), "-ERR 'Slow Consumer'\r\n");
    }
}
