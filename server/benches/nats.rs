//! The NATS codec, one thread, with its allocations: `cargo bench --bench nats`; `cargo test` runs
//! each once.

use bytes::BytesMut;
use divan::counter::ItemsCount;
use divan::{AllocProfiler, Bencher, black_box};
use fanfare_server::codec::nats::{
    Block, Operation, Outgoing, Parser, ParserLimits, append_message,
};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

/// What a busy connection's read brings.
const READ_BYTES: usize = 64 * 1024;

const PAYLOAD_BYTES: usize = 128;

fn main() {
    divan::main();
}

mod parse {
    use super::*;

    /// Full reads: messages in a row on one subject.
    #[divan::bench(args = [16, 128, 1024])]
    fn publishes(bencher: Bencher<'_, '_>, payload_bytes: usize) {
        parse_all(bencher, publish("orders.eu", None, payload_bytes));
    }

    /// As requests are: a subject for each answer, and an operation for each message.
    #[divan::bench]
    fn publishes_on_two_subjects_in_turn(bencher: Bencher<'_, '_>) {
        let turns = ["orders.eu", "orders.us"]
            .map(|subject| publish(subject, Some("_INBOX.Xk3.17"), PAYLOAD_BYTES));
        parse_all(bencher, turns.concat());
    }

    /// One message a read.
    #[divan::bench(sample_size = 1000)]
    fn a_single_publish(bencher: Bencher<'_, '_>) {
        let input = publish("orders.eu", None, PAYLOAD_BYTES);
        let mut parser = Parser::new(ParserLimits::default());
        let mut buffer = BytesMut::with_capacity(READ_BYTES);
        bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
            buffer.reserve(READ_BYTES);
            buffer.extend_from_slice(black_box(&input));
            parser.next(&mut buffer)
        });
    }

    #[divan::bench]
    fn pings(bencher: Bencher<'_, '_>) {
        parse_all(bencher, b"PING\r\n".to_vec());
    }

    /// Fills a read with `input` again and again. The filling is not measured.
    fn parse_all(bencher: Bencher<'_, '_>, input: Vec<u8>) {
        let read = input.repeat(READ_BYTES / input.len());
        let items = messages_in(&read);
        let filled = || BytesMut::from(&read[..]);
        bencher.with_inputs(filled).counter(ItemsCount::new(items)).bench_local_values(
            |mut buffer| {
                let mut parser = Parser::new(ParserLimits::default());
                let mut operations = Vec::with_capacity(2 * items);
                while let Ok(Some(operation)) = parser.next(&mut buffer) {
                    operations.push(operation);
                }
                (operations, buffer)
            },
        );
    }

    fn messages_in(read: &[u8]) -> usize {
        let mut parser = Parser::new(ParserLimits::default());
        let mut buffer = BytesMut::from(read);
        let mut items = 0;
        while let Ok(Some(operation)) = parser.next(&mut buffer) {
            items += if let Operation::Publish(block) = operation { block.len() } else { 1 };
        }
        assert!(items > 0 && buffer.is_empty());
        items
    }
}

mod render {
    use super::*;

    /// A block once, for all who share it. The block is parsed anew each time, which is not
    /// measured.
    #[divan::bench(args = [16, 128, 1024])]
    fn a_block_once_for_all(bencher: Bencher<'_, '_>, payload_bytes: usize) {
        let messages = block(payload_bytes).len();
        bencher
            .with_inputs(|| block(payload_bytes))
            .counter(ItemsCount::new(messages))
            .bench_local_values(|block| {
                assert!(block.rendered(black_box(b"1"), true).is_some());
                block
            });
    }

    /// What a subscriber costs that shares it.
    #[divan::bench]
    fn a_block_that_is_rendered(bencher: Bencher<'_, '_>) {
        let block = block(PAYLOAD_BYTES);
        bencher.counter(ItemsCount::new(block.len())).bench_local(|| {
            block.rendered(black_box(b"1"), true).map(|rendered| rendered.messages(0..block.len()))
        });
    }

    /// What a subscriber costs with an id of its own.
    #[divan::bench(args = [16, 128, 1024])]
    fn a_block_message_by_message(bencher: Bencher<'_, '_>, payload_bytes: usize) {
        let block = block(payload_bytes);
        let mut out = Vec::new();
        bencher.counter(ItemsCount::new(block.len())).bench_local(|| {
            out.clear();
            for index in 0..block.len() {
                append_message(&mut out, &block.outgoing(index), black_box(b"22"), true);
            }
            out.len()
        });
    }

    /// A message of another front-end's.
    #[divan::bench]
    fn a_message_of_others(bencher: Bencher<'_, '_>) {
        let message = Outgoing {
            subject: b"chat.room.lobby",
            reply_to: None,
            headers: b"",
            payload: &[b'x'; PAYLOAD_BYTES],
            sizes_as_written: None,
        };
        let mut out = Vec::new();
        bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
            out.clear();
            append_message(&mut out, black_box(&message), b"1", true);
            out.len()
        });
    }

    fn block(payload_bytes: usize) -> Block {
        let mut buffer = BytesMut::from(&publish("orders.eu", None, payload_bytes).repeat(256)[..]);
        match Parser::new(ParserLimits::default()).next(&mut buffer) {
            Ok(Some(Operation::Publish(block))) => block,
            other => unreachable!("{other:?}"),
        }
    }
}

fn publish(subject: &str, reply_to: Option<&str>, payload_bytes: usize) -> Vec<u8> {
    let reply_to = reply_to.map(|reply_to| format!("{reply_to} ")).unwrap_or_default();
    format!("PUB {subject} {reply_to}{payload_bytes}\r\n{}\r\n", "x".repeat(payload_bytes))
        .into_bytes()
}
