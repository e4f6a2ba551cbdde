//! Blocks of headers: `NATS/1.0`, then a line for each, then an empty line. They pass through us
//! byte for byte.

/// The headers that tell a requester that nobody can answer. (Documentation; observed.)
pub const NO_RESPONDERS: &[u8] = b"NATS/1.0 503\r\n\r\n";

const FIRST_LINE: &[u8] = b"NATS/1.0";

/// Appends a block of headers with one more in front of the others. The block may be empty or
/// malformed: nobody has checked it (observed), and what a client makes of the rest is its own
/// business.
pub fn append_with(out: &mut Vec<u8>, block: &[u8], name: &str, value: &[u8]) {
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

/// The value of the first header of this name, spelled just so.
pub fn value<'b>(block: &'b [u8], name: &str) -> Option<&'b [u8]> {
    let ends = memchr::memchr_iter(b'\n', block);
    let mut lines = ends.map(|end| &block[end + 1..]);
    let value = lines.find_map(|line| line.strip_prefix(name.as_bytes())?.strip_prefix(b":"))?;
    let end = memchr::memchr(b'\n', value).unwrap_or(value.len());
    Some(value[..end].trim_ascii())
}

fn append_header(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    for part in [b"\r\n", name.as_bytes(), b": ", value] {
        out.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_one_more(block: &[u8]) -> String {
        let mut out = Vec::new();
        append_with(&mut out, block, "Fanfare-Missed", b"17");
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_value_is_that_of_its_name_alone() {
        let block = b"NATS/1.0\r\nXA: 0\r\nA-B: 1\r\nB:  A: \r\nA:2 3 \r\nA: 4\r\n\r\n";
        assert_eq!(value(block, "A"), Some(&b"2 3"[..]));
        assert_eq!(value(block, "B"), Some(&b"A:"[..]));
        assert_eq!(
            (value(block, "C"), value(block, "NATS/1.0"), value(b"", "A")),
            (None, None, None)
        );
        assert_eq!(value(b"NATS/1.0\r\nA:", "A"), Some(&b""[..]));
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
