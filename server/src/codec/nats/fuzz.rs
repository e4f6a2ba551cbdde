//! The function that a fuzzer calls. It is there only for fuzzers and tests.

use super::{Block, Operation, Parser, ParserLimits, append_message};
use bytes::BytesMut;

/// Parses `input` whole and in pieces whose sizes its first byte chooses, checks that both give the
/// same and that no more is kept than allowed, and renders what came out.
pub fn fuzz_nats(input: &[u8]) {
    check(input, client_parser);
}

/// [`fuzz_nats`] for what a hub sends to its leaf node.
pub fn fuzz_hub(input: &[u8]) {
    check(input, |_| Parser::of_hub(LIMITS));
}

fn check(input: &[u8], parser: impl Fn(u8) -> Parser) {
    let Some((&choice, bytes)) = input.split_first() else { return };
    let whole = run(&[bytes], parser(choice));
    let pieces: Vec<&[u8]> = bytes.chunks(usize::from(choice % 16) + 1).collect();
    assert_eq!(run(&pieces, parser(choice)), whole);
}

/// Small enough that short inputs reach them.
const LIMITS: ParserLimits = ParserLimits { control_line_bytes: 32, payload_bytes: 48 };

fn client_parser(choice: u8) -> Parser {
    let mut parser = Parser::new(LIMITS);
    parser.allow_headers(choice & 0x40 == 0);
    parser.require_connect(choice & 0x80 != 0);
    parser.join_answers(choice & 0x20 == 0);
    parser
}

/// The results as text: one entry an operation or message.
fn run(pieces: &[&[u8]], mut parser: Parser) -> Vec<String> {
    let mut buffer = BytesMut::new();
    let mut seen = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match parser.next(&mut buffer) {
                Ok(Some(Operation::Publish(block))) => {
                    seen.extend((0..block.len()).map(|index| message(&block, index)))
                }
                Ok(Some(operation)) => {
                    parser.require_connect(false);
                    seen.push(format!("{operation:?}"));
                }
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(parser.next(&mut buffer).err(), Some(error), "an error stays");
                    seen.push(format!("{error:?}"));
                    return seen;
                }
            }
        }
        let kept_max =
            LIMITS.control_line_bytes + "HPUB \r\n".len() + LIMITS.payload_bytes + "\r\n".len();
        assert!(buffer.len() <= kept_max, "{} bytes are kept", buffer.len());
    }
    seen
}

/// The message as it is rendered, alone and with its block.
fn message(block: &Block, index: usize) -> String {
    let mut alone = Vec::new();
    append_message(&mut alone, &block.outgoing(index), b"1", true);
    if let Some(rendered) = block.rendered(b"1", true) {
        assert_eq!(rendered.messages(index..index + 1), alone);
    }
    if block.has_answers() {
        let mut copied = Vec::new();
        append_message(&mut copied, &block.answer_alone(index).outgoing(0), b"1", true);
        assert_eq!(copied, alone);
    }
    let groups: Vec<String> = block.groups().collect();
    format!("{}{groups:?}", alone.escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn corpus() -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/nats");
        let mut files: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        files.into_iter().map(|file| std::fs::read(file).unwrap()).collect()
    }

    #[test]
    fn the_fuzz_function_holds_over_the_corpus_and_what_grows_out_of_it() {
        let corpus = corpus();
        assert!(corpus.len() >= 20);
        corpus.iter().for_each(|input| fuzz_nats(input));
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..10_000 {
            let mut input = corpus[random.usize(..corpus.len())].clone();
            for _ in 0..random.usize(1..5) {
                mutate(&mut input, &corpus, &mut random);
            }
            fuzz_nats(&input);
        }
    }

    #[test]
    fn the_fuzz_function_of_hubs_holds_over_what_grows_out_of_their_words() {
        let words = [
            &b"\0LS+ a.> \r\nLS+ w q 3\r\nLS- w q\r\nLS+ w q\r\n"[..],
            b"\x05LMSG a 1\r\nx\r\nLMSG a r 1\r\nx\r\nLMSG a | q1 q2 1\r\nx\r\n",
            b"\x03HMSG a + r q1 2 3\r\nhhx\r\nHMSG a 2 3\r\nhhx\r\n-ERR 'x'\r\n",
            b"\x07LMSG d $JS.ACK.O.D.1.1.1.9.0@r 1\r\nx\r\nINFO {}\r\nPING\r\nPONG\r\n",
        ];
        let words: Vec<Vec<u8>> = words.into_iter().map(<[u8]>::to_vec).collect();
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..10_000 {
            let mut input = words[random.usize(..words.len())].clone();
            fuzz_hub(&input);
            (0..random.usize(1..5)).for_each(|_| mutate(&mut input, &words, &mut random));
            fuzz_hub(&input);
        }
    }

    #[test]
    fn the_corpus_has_every_operation_and_every_mistake() {
        let mut seen: Vec<String> = Vec::new();
        for input in corpus() {
            seen.extend(run(&[&input[1..]], client_parser(input[0])));
        }
        let operations = [
            "Connect(",
            "Ping",
            "Pong",
            "Ok",
            "Info(",
            "Subscribe {",
            "Unsubscribe {",
            "MSG ",
            "HMSG ",
        ];
        let mistakes = [
            "UnknownOperation",
            "UnterminatedPayload",
            "ControlLineTooLong",
            "PayloadTooLarge",
            "NotAuthorized",
            "WrongArgumentCount",
            "InvalidSize",
            "HeadersLargerThanTotal",
            "HeadersNotNegotiated",
            "ErrorFromClient",
        ];
        for wanted in operations.into_iter().chain(mistakes) {
            assert!(seen.iter().any(|text| text.starts_with(wanted)), "{wanted}");
        }
    }

    fn mutate(input: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut fastrand::Rng) {
        let at = random.usize(..=input.len());
        let other = &corpus[random.usize(..corpus.len())];
        match random.usize(..6) {
            0 => input.insert(at, b" \r\n\t0129PHx\xff"[random.usize(..12)]),
            1 if at < input.len() => drop(input.remove(at)),
            2 if at < input.len() => input[at] ^= 1 << random.usize(..8),
            3 => input.truncate(at),
            4 => drop(input.splice(at..at, input.clone())),
            _ => input.extend_from_slice(&other[random.usize(..=other.len())..]),
        }
    }
}
