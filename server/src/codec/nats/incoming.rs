//! Parses a NATS server's lines, for programs that are its clients.

/// A line of a server, without its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A message; its headers, its payload and a line end follow.
    Message(MessageHead),
    /// Asks for a `PONG`.
    Ping,
    /// The answer to a `PING`.
    Pong,
    /// An error, in the server's words.
    Error(String),
    /// Nothing that has to be acted upon: `INFO`, `+OK`.
    Other,
}

/// The line before a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageHead {
    /// The subject it was published to.
    pub subject: String,
    /// Where an answer goes, if one is wanted.
    pub reply_to: Option<String>,
    /// Bytes of headers before the payload.
    pub header_bytes: usize,
    /// Bytes of headers and payload.
    pub total_bytes: usize,
}

/// The meaning of a server's line; `None` if it has none.
pub fn incoming(line: &str) -> Option<Incoming> {
    let mut words = line.split_ascii_whitespace();
    let verb = words.next()?.to_ascii_uppercase();
    let words: Vec<&str> = words.collect();
    match (verb.as_str(), words.as_slice()) {
        ("MSG", [subject, _sid, rest @ .., total]) => head(subject, rest, "0", total),
        ("HMSG", [subject, _sid, rest @ .., headers, total]) => head(subject, rest, headers, total),
        ("PING", _) => Some(Incoming::Ping),
        ("PONG", _) => Some(Incoming::Pong),
        ("-ERR", _) => Some(Incoming::Error(line[4..].trim().trim_matches('\'').to_owned())),
        ("INFO" | "+OK", _) => Some(Incoming::Other),
        _ => None,
    }
}

fn head(subject: &str, reply_to: &[&str], headers: &str, total: &str) -> Option<Incoming> {
    let (header_bytes, total_bytes) = (headers.parse().ok()?, total.parse().ok()?);
    let reply_to = match reply_to {
        [] => None,
        [reply_to] => Some((*reply_to).to_owned()),
        _ => return None,
    };
    let subject = subject.to_owned();
    (header_bytes <= total_bytes).then_some(Incoming::Message(MessageHead {
        subject,
        reply_to,
        header_bytes,
        total_bytes,
    }))
}

/// The status in a block of headers, such as `503`, and its headers.
pub fn read_headers(block: &str) -> (Option<&str>, Vec<(&str, &str)>) {
    let mut lines = block.split("\r\n");
    let status = lines.next().and_then(|first| first.split_ascii_whitespace().nth(1));
    let headers = lines.filter_map(|line| line.split_once(':'));
    (status, headers.map(|(name, value)| (name, value.trim())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_understood_or_nothing() {
        let message = |line: &str| match incoming(line) {
            Some(Incoming::Message(head)) => head,
            other => panic!("{other:?}"),
        };
        let plain = message("MSG a.b 1 5");
        assert_eq!((plain.subject.as_str(), plain.reply_to, plain.total_bytes), ("a.b", None, 5));
        let full = message("HMSG a 9 _INBOX.x 12 17");
        assert_eq!((full.reply_to.as_deref(), full.header_bytes), (Some("_INBOX.x"), 12));
        assert_eq!(incoming("-ERR 'Slow Consumer'"), Some(Incoming::Error("Slow Consumer".into())));
        assert_eq!(
            (incoming("ping"), incoming("+OK")),
            (Some(Incoming::Ping), Some(Incoming::Other))
        );
        for nonsense in ["", "MSG", "MSG a 1 x", "HMSG a 1 9 5", "MSG a 1 b c 5", "HTTP/1.1 400"] {
            assert_eq!(incoming(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn headers_have_a_status_and_pairs() {
        assert_eq!(read_headers("NATS/1.0 503\r\n\r\n"), (Some("503"), vec![]));
        let pairs = vec![("A", "1"), ("B", "x:y")];
        assert_eq!(read_headers("NATS/1.0\r\nA: 1\r\nB:x:y\r\n\r\n"), (None, pairs));
    }
}
