//! Blocks of headers: `NATS/1.0`, then a line for each, then an empty line. They pass through us
//! byte for byte.

use std::fmt;

/// The headers of the answer that nobody is there to answer. (Documentation; observed.)
pub const NO_RESPONDERS: &[u8] = b"NATS/1.0 503\r\n\r\n";

const FIRST_LINE: &[u8] = b"NATS/1.0";

/// The names and values in a block of headers, in their order. Lines that are none, or not UTF-8,
/// are passed over.
pub fn iter(block: &[u8]) -> impl Iterator<Item = (&str, &str)> {
    // The first line has the version and perhaps a status.
    block.split(|&byte| byte == b'\n').skip(1).filter_map(|line| {
        let (name, value) = std::str::from_utf8(line).ok()?.split_once(':')?;
        Some((name, value.trim()))
    })
}

/// Appends a block of headers, in the order given; nothing if there are none.
///
/// # Errors
/// A name or a value that could be read as something else. What was appended by then is no block.
pub fn append<'a>(
    out: &mut Vec<u8>,
    entries: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<(), HeaderError> {
    let mut is_empty = true;
    for (name, value) in entries {
        check(name, value)?;
        if is_empty {
            out.extend_from_slice(FIRST_LINE);
            is_empty = false;
        }
        append_header(out, name, value);
    }
    if !is_empty {
        out.extend_from_slice(b"\r\n\r\n");
    }
    Ok(())
}

/// Appends a block of headers with one more in front of the others. The block may be empty, or no
/// proper one: nobody checked it (observed), and what a client makes of the rest is its own
/// business.
pub fn append_with(out: &mut Vec<u8>, block: &[u8], name: &str, value: &str) {
    let first_line = memchr::memmem::find(block, b"\r\n").filter(|_| block.starts_with(FIRST_LINE));
    let (first, rest) = match first_line {
        Some(end) => block.split_at(end),
        None => (FIRST_LINE, if block.is_empty() { &b"\r\n\r\n"[..] } else { block }),
    };
    out.extend_from_slice(first);
    append_header(out, name, value);
    if first_line.is_none() && !block.is_empty() {
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(rest);
}

/// A name or a value that cannot be a header's: names have no blanks, colons or control characters,
/// values no line ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// The name is empty or has such a character.
    Name,
    /// The value has a line end in it.
    Value,
}

impl fmt::Display for HeaderError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Name => "a header's name must not be empty or have blanks, colons or control characters in it",
            Self::Value => "a header's value must not have line ends in it",
        })
    }
}

impl std::error::Error for HeaderError {}

fn check(name: &str, value: &str) -> Result<(), HeaderError> {
    if name.is_empty() || name.contains(|c: char| c == ':' || c.is_whitespace() || c.is_control()) {
        return Err(HeaderError::Name);
    }
    if value.contains(['\r', '\n']) {
        return Err(HeaderError::Value);
    }
    Ok(())
}

fn append_header(out: &mut Vec<u8>, name: &str, value: &str) {
    for part in ["\r\n", name, ": ", value] {
        out.extend_from_slice(part.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(entries: &[(&str, &str)]) -> Result<String, HeaderError> {
        let mut out = Vec::new();
        append(&mut out, entries.iter().copied())?;
        Ok(String::from_utf8(out).unwrap())
    }

    fn with_one_more(block: &[u8]) -> String {
        let mut out = Vec::new();
        append_with(&mut out, block, "Fanfare-Missed", "17");
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        let written = block(&[("Name", "a value: of parts"), ("name", "")]).unwrap();
        assert_eq!(written, "NATS/1.0\r\nName: a value: of parts\r\nname: \r\n\r\n");
        let read: Vec<_> = iter(written.as_bytes()).collect();
        assert_eq!(read, [("Name", "a value: of parts"), ("name", "")]);
        assert_eq!(block(&[]).unwrap(), "");
    }

    #[test]
    fn nobody_smuggles_in_a_header() {
        for name in ["", "a b", "a:b", "a\nb", "a\r"] {
            assert_eq!(block(&[(name, "value")]), Err(HeaderError::Name), "{name:?}");
        }
        for value in ["a\nb", "a\r"] {
            assert_eq!(block(&[("Name", value)]), Err(HeaderError::Value), "{value:?}");
        }
    }

    #[test]
    fn lines_that_are_no_headers_are_passed_over() {
        let block = b"NATS/1.0 503 No Responders\r\nA:1\r\nnone\r\nB\xff: 2\r\nC:  3 \r\n\r\n";
        assert_eq!(iter(block).collect::<Vec<_>>(), [("A", "1"), ("C", "3")]);
        assert_eq!(iter(b"").count() + iter(NO_RESPONDERS).count(), 0);
    }

    #[test]
    fn one_more_header_is_the_first() {
        assert_eq!(with_one_more(b""), "NATS/1.0\r\nFanfare-Missed: 17\r\n\r\n");
        assert_eq!(
            with_one_more(b"NATS/1.0\r\nA: 1\r\n\r\n"),
            "NATS/1.0\r\nFanfare-Missed: 17\r\nA: 1\r\n\r\n"
        );
        assert_eq!(with_one_more(NO_RESPONDERS), "NATS/1.0 503\r\nFanfare-Missed: 17\r\n\r\n");
        assert_eq!(with_one_more(b"what"), "NATS/1.0\r\nFanfare-Missed: 17\r\nwhat");
    }
}
