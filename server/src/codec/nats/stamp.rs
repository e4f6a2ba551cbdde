//! The header by which servers that share a cluster count each other's messages:
//! `Fanfare-Sequence: SENDER RUN NUMBER`.

use super::headers::append_with;
use crate::limits::CLUSTER_SENDER_BYTES;
use memchr::memmem;

const NAME: &str = "Fanfare-Sequence";

/// The place of a message among those that one server has sent on its subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp<'a> {
    /// The server's name in the cluster.
    pub sender: &'a str,
    /// The run of numbers. The server begins another when it has lost count.
    pub run: u64,
    /// Counts the messages on the subject in this run, from 1.
    pub number: u64,
}

/// Appends a block of [headers](super::headers) with the stamp in front of the others.
pub fn append_stamped(out: &mut Vec<u8>, headers: &[u8], stamp: &Stamp<'_>) {
    let Stamp { sender, run, number } = stamp;
    append_with(out, headers, NAME, format!("{sender} {run} {number}").as_bytes());
}

/// Takes the stamp off a block of headers, if the first of them is one: appends the others to
/// `rest`, or nothing if there are none.
pub fn take_stamp<'h>(headers: &'h [u8], rest: &mut Vec<u8>) -> Option<Stamp<'h>> {
    let (first_line, others) = headers.split_at(memmem::find(headers, b"\r\n")?);
    let value = others[2..].strip_prefix(NAME.as_bytes())?.strip_prefix(b": ")?;
    let (value, others) = value.split_at(memmem::find(value, b"\r\n")?);
    let mut words = str::from_utf8(value).ok()?.split(' ');
    let sender = words.next().filter(|it| (1..=CLUSTER_SENDER_BYTES).contains(&it.len()))?;
    let [run, number] = [words.next(), words.next()].map(|word| word?.parse().ok());
    let stamp = Stamp { sender, run: run?, number: number? };
    if words.next().is_some() {
        return None;
    }
    if others != b"\r\n\r\n" {
        rest.extend_from_slice(first_line);
        rest.extend_from_slice(others);
    }
    Some(stamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp<'static> = Stamp { sender: "fanfare-a-1", run: 17, number: u64::MAX };

    fn stamped(headers: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        append_stamped(&mut out, headers, &STAMP);
        out
    }

    #[test]
    fn a_stamp_comes_off_as_it_was_put_on_and_the_rest_is_what_was_there_before() {
        let alone = stamped(b"");
        let expected = "NATS/1.0\r\nFanfare-Sequence: fanfare-a-1 17 18446744073709551615\r\n\r\n";
        assert_eq!(String::from_utf8(alone).unwrap(), expected);
        let blocks: [&[u8]; 4] = [
            b"",
            b"NATS/1.0\r\nA: 1\r\nB:2\r\n\r\n",
            b"NATS/1.0 503\r\nA: 1\r\n\r\n",
            b"NATS/1.0\r\nFanfare-Sequence: forged 1 2\r\n\r\n",
        ];
        for block in blocks {
            let (stamped, mut rest) = (stamped(block), Vec::new());
            assert_eq!(take_stamp(&stamped, &mut rest), Some(STAMP));
            assert_eq!(rest, block);
        }
    }

    #[test]
    fn anything_else_is_no_stamp() {
        let long = format!("{} 1 2", "x".repeat(CLUSTER_SENDER_BYTES + 1));
        let values = ["", "a", "a 1", "a 1 2 3", "a -1 2", "a 1 x", "a  1 2", " 1 2", "a 1 2 "];
        for value in values.into_iter().chain([long.as_str()]) {
            let block = format!("NATS/1.0\r\nFanfare-Sequence: {value}\r\n\r\n");
            assert_eq!(take_stamp(block.as_bytes(), &mut Vec::new()), None, "{value}");
        }
        let blocks: [&[u8]; 5] = [
            b"",
            b"NATS/1.0\r\n\r\n",
            b"NATS/1.0\r\nA: 1\r\nFanfare-Sequence: a 1 2\r\n\r\n",
            b"NATS/1.0\r\nFanfare-Sequence: a 1 2",
            b"Fanfare-Sequence: a 1 2\r\n\r\n",
        ];
        for block in blocks {
            let mut rest = Vec::new();
            assert_eq!((take_stamp(block, &mut rest), rest.as_slice()), (None, &b""[..]));
        }
    }
}
