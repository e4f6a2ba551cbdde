//! Whether it pays to check signatures elsewhere than where datagrams are read. A batch is what is
//! read in one go: checked in place, it keeps the thread of the loop that reads; handed to a worker
//! thread, that thread is free for other tasks.
//!
//! `cargo bench --bench push` prints a table; `cargo test` runs it with few rounds, and prints the
//! same.

use fanfare_server::codec::datagram::{Signed, signed::sign};
use fanfare_server::limits::DATAGRAMS_PER_TURN;
use fanfare_server::tasks::Limiter;
use futures_lite::future::block_on;
use std::future::{Future, poll_fn};
use std::io::{self, Write};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

const KEY: &[u8] = b"0123456789abcdef";

type Batch = Arc<Vec<Vec<u8>>>;

/// What batches of one kind cost.
#[derive(Default)]
struct Cost {
    /// From the first datagram to the last verdict.
    whole: Duration,
    /// How long other tasks of the thread had to wait, at a stretch.
    stall: Duration,
}

fn main() -> io::Result<()> {
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let rounds = if is_bench { 3_000 } else { 3 };
    let limiter = Limiter::new(1);
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "payload  batch   in place: checks/s   stall    by a worker: checks/s   stall    bytes \
         signed"
    )?;
    for bytes in [100, 1_000, 8_000] {
        for datagrams in [1, 4, 16, DATAGRAMS_PER_TURN] {
            let batch = batch(bytes, datagrams);
            let in_place = median(rounds, || in_place(&batch));
            let by_worker = median(rounds, || by_worker(&limiter, &batch));
            let per_second = |cost: &Cost| datagrams as f64 / cost.whole.as_secs_f64();
            let us = |time: Duration| time.as_secs_f64() * 1e6;
            writeln!(
                out,
                "{bytes:>7} {datagrams:>6} {:>20.0} {:>7.0} us {:>20.0} {:>7.0} us {:>12}",
                per_second(&in_place),
                us(in_place.stall),
                per_second(&by_worker),
                us(by_worker.stall),
                batch.iter().map(Vec::len).sum::<usize>()
            )?;
        }
    }
    Ok(())
}

fn batch(bytes: usize, datagrams: usize) -> Batch {
    let push = [b"all ".as_slice(), &vec![b'x'; bytes]].concat();
    Arc::new(
        (0..datagrams)
            .map(|n| sign("shop", KEY, 1_800_000_000, &format!("{n:08}"), &push))
            .collect(),
    )
}

/// How many are signed as they should be: all of them.
fn check(batch: &[Vec<u8>]) -> usize {
    let is_right = |datagram: &&Vec<u8>| {
        Signed::parse(datagram).is_ok_and(|signed| signed.is_some_and(|it| it.is_by(KEY)))
    };
    batch.iter().filter(is_right).count()
}

fn in_place(batch: &Batch) -> Cost {
    let began = Instant::now();
    assert_eq!(check(batch), batch.len());
    let whole = began.elapsed();
    Cost { whole, stall: whole }
}

fn by_worker(limiter: &Limiter, batch: &Batch) -> Cost {
    let began = Instant::now();
    let mut stall = Duration::ZERO;
    let of_worker = batch.clone();
    let mut processing = pin!(limiter.unblock(Duration::MAX, move || check(&of_worker)));
    let right = block_on(poll_fn(|context| {
        let polled = Instant::now();
        let poll = processing.as_mut().poll(context);
        stall = stall.max(polled.elapsed());
        poll
    }));
    assert_eq!(right, Some(batch.len()));
    Cost { whole: began.elapsed(), stall }
}

fn median(rounds: usize, mut measure: impl FnMut() -> Cost) -> Cost {
    let (mut wholes, mut stalls) = (Vec::with_capacity(rounds), Vec::with_capacity(rounds));
    for _ in 0..rounds {
        let cost = measure();
        wholes.push(cost.whole);
        stalls.push(cost.stall);
    }
    wholes.sort_unstable();
    stalls.sort_unstable();
    Cost { whole: wholes[rounds / 2], stall: stalls[rounds / 2] }
}
