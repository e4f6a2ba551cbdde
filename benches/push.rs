//! Whether it pays to check signatures elsewhere than where datagrams are read: a check, and a hand-over to a worker thread.
//!
//! `cargo bench --bench push`; `cargo test` runs each once.

use divan::{Bencher, black_box};
use fanfare::codec::datagram::{Signed, signed::sign};
use fanfare::tasks::{Interrupt, Pool};

const KEY: &[u8] = b"0123456789abcdef";

fn main() {
    divan::main();
}

/// Parsing a signed datagram of so many bytes, and checking its signature.
#[divan::bench(args = [100, 1_000, 8_000])]
fn check(bencher: Bencher, bytes: usize) {
    let datagram = sign("shop", KEY, 1_800_000_000, "9f86d081", &[b"all ".as_slice(), &vec![b'x'; bytes]].concat());
    bencher.bench(|| {
        Signed::parse(black_box(&datagram)).is_ok_and(|signed| signed.is_some_and(|signed| signed.is_by(KEY)))
    });
}

/// A job that does nothing, to a worker thread and back.
#[divan::bench]
fn hand_over(bencher: Bencher) {
    let pool = Pool::new("nothing", 1, || |number: u64, _: &Interrupt| number).expect("a thread");
    bencher.bench(|| pool.process_blocking(black_box(7)).is_ok());
}
