//! A pool of workers, one of which has a long job: `cargo run --example worker_pool`
//!
//! Each request goes to the worker with the least queued, so the busy worker holds up at most the
//! one request that it got before anybody could know. By turns, it would hold up every fourth.

use async_io::Timer;
use fanfare::{Broker, Pattern, RequestError, Topic};
use futures_lite::future::block_on;
use std::thread;
use std::time::Duration;

/// Jobs are milliseconds to sleep.
const LONG_JOB_MS: u64 = 600;
const SHORT_JOB_MS: u64 = 5;
const TIMEOUT: Duration = Duration::from_millis(50);
const WORKERS: usize = 4;
const REQUESTS: u32 = 100;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let broker = Broker::<u64>::new();
    let jobs = Topic::parse("jobs")?;
    let workers: Vec<_> = (0..WORKERS)
        .map(|_| {
            let worker = broker.subscription(&Pattern::from(&jobs)).group("workers").subscribe()?;
            let mut queue = worker.into_messages();
            let broker = broker.clone();
            Ok(thread::spawn(move || {
                while let Some(job) = queue.recv_blocking() {
                    block_on(Timer::after(Duration::from_millis(*job)));
                    if let Some(reply_to) = job.reply_to() {
                        let _ = block_on(broker.publish(reply_to, *job));
                    }
                }
                queue.subscription().books().received
            }))
        })
        .collect::<Result<_, Box<dyn std::error::Error>>>()?;

    let _ = broker.publisher().publish_blocking(&jobs, LONG_JOB_MS)?;
    let mut timed_out = 0;
    for _ in 0..REQUESTS {
        match block_on(broker.request(&jobs, SHORT_JOB_MS, TIMEOUT)) {
            Ok(_) => {}
            Err(RequestError::TimedOut) => timed_out += 1,
            Err(error) => return Err(error.into()),
        }
    }
    println!("{timed_out} of {REQUESTS} requests timed out beside a job of {LONG_JOB_MS} ms");

    broker.close();
    for worker in workers {
        println!("a worker did {} jobs", worker.join().expect("a worker ends with the broker"));
    }
    Ok(())
}
