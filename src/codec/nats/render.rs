//! What the server sends.

use super::headers;

/// A message on its way to a subscriber.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// What it was published under.
    pub subject: &'a [u8],
    /// Where an answer is to be sent.
    pub reply_to: Option<&'a [u8]>,
    /// A block of [`headers`]; empty if there are none.
    pub headers: &'a [u8],
    /// The content.
    pub payload: &'a [u8],
    /// The size of the headers and of all, as the publisher wrote them. (Observed: they are passed on so, `0000002`.)
    /// None: as plain numbers.
    pub sizes_as_written: Option<(&'a [u8], &'a [u8])>,
}

/// Appends a `MSG`, or an `HMSG` if there are headers and the client knows them. (Observed: one who does not gets the
/// message without; headers of length 0 are none.)
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
pub fn append_message_with_header(out: &mut Vec<u8>, message: &Outgoing<'_>, sid: &[u8], name: &str, value: u64) {
    let mut header = Vec::with_capacity(message.headers.len() + 64);
    headers::append_with(&mut header, message.headers, name, itoa::Buffer::new().format(value));
    append_message(out, &Outgoing { headers: &header, sizes_as_written: None, ..*message }, sid, true);
}

/// Appends what a client gets on its reply subject when nobody is subscribed to what it asked. (Observed.)
pub fn append_no_responders(out: &mut Vec<u8>, reply_to: &[u8], sid: &[u8]) {
    let message = Outgoing {
        subject: reply_to,
        reply_to: None,
        headers: headers::NO_RESPONDERS,
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

/// Appends a `+OK`, which a client gets for each of its operations if it asked for that with `verbose`.
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

fn append_line(out: &mut Vec<u8>, message: &Outgoing<'_>, sid: &[u8], header_size: Option<&[u8]>, size: &[u8]) {
    let body_bytes = message.headers.len() + message.payload.len();
    let verb: &[u8] = if header_size.is_some() { b"HMSG " } else { b"MSG " };
    let reply_bytes = message.reply_to.map_or(0, <[u8]>::len);
    out.reserve(body_bytes + message.subject.len() + sid.len() + reply_bytes + 40);
    for part in [verb, message.subject, b" ", sid, b" "] {
        out.extend_from_slice(part);
    }
    for part in [message.reply_to, header_size].into_iter().flatten() {
        out.extend_from_slice(part);
        out.push(b' ');
    }
    out.extend_from_slice(size);
    out.extend_from_slice(b"\r\n");
}
