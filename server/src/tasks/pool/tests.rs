use super::*;
use futures_lite::future::poll_once;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Instant;

/// Far longer than anything takes; only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

#[track_caller]
fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "waited in vain for: {what}");
        thread::yield_now();
    }
}

/// A job for a pool of gates: says that it has begun, and ends when its gate is dropped or it is
/// interrupted.
struct Gated {
    begun: SyncSender<()>,
    gate: Receiver<()>,
}

fn gated() -> (Gated, Receiver<()>, SyncSender<()>) {
    let ((begun, has_begun), (open, gate)) = (sync_channel(1), sync_channel(0));
    (Gated { begun, gate }, has_begun, open)
}

#[derive(Debug, PartialEq)]
enum Passed {
    Opened,
    Interrupted,
}

fn pool_of_gates(size: usize) -> Pool<Gated, Passed> {
    let pool = Pool::new("gates", size, || {
        |job: Gated, interrupt: &Interrupt| {
            let _ = job.begun.send(());
            while job.gate.recv_timeout(Duration::from_millis(1))
                == Err(std::sync::mpsc::RecvTimeoutError::Timeout)
            {
                if interrupt.is_set() {
                    return Passed::Interrupted;
                }
            }
            Passed::Opened
        }
    });
    pool.unwrap()
}

impl fmt::Debug for Gated {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Gated")
    }
}

#[test]
fn each_worker_has_its_own_state_and_a_thread_with_a_name() {
    let built = Arc::new(AtomicUsize::new(0));
    let count = built.clone();
    let pool = Pool::new("counters", 1, move || {
        count.fetch_add(1, Ordering::SeqCst);
        let mut jobs = 0;
        move |(), _: &Interrupt| {
            jobs += 1;
            (jobs, thread::current().name().map(str::to_owned))
        }
    });
    let pool = pool.unwrap();
    assert_eq!(built.load(Ordering::SeqCst), 0, "nothing is made ahead of use");
    assert_eq!(pool.process_blocking(()).unwrap(), (1, Some("counters 1".to_owned())));
    assert_eq!(block_on(pool.process(())).unwrap().0, 2);
    assert_eq!(built.load(Ordering::SeqCst), 1);
}

#[test]
fn jobs_wait_in_order_and_are_counted() {
    let pool = pool_of_gates(1);
    let ((first, begun, open), (second, second_begun, second_open)) = (gated(), gated());
    let (mut one, mut two) = (Box::pin(pool.process(first)), Box::pin(pool.process(second)));
    assert!(block_on(poll_once(one.as_mut())).is_none());
    begun.recv().unwrap();
    assert!(block_on(poll_once(two.as_mut())).is_none());
    assert_eq!((pool.queue_len(), pool.busy(), pool.size()), (1, 1, 1));
    assert_eq!(format!("{pool:?}"), "Pool(gates, 1 of 1 workers busy, 1 jobs wait)");
    drop(open);
    assert_eq!(block_on(one).unwrap(), Passed::Opened);
    second_begun.recv().unwrap();
    drop(second_open);
    assert_eq!(block_on(two).unwrap(), Passed::Opened);
    assert_eq!((pool.queue_len(), pool.busy()), (0, 0));
}

#[test]
fn a_caller_that_goes_away_takes_its_job_with_it() {
    let pool = pool_of_gates(1);
    let ((first, begun, open), (second, second_begun, _second_open)) = (gated(), gated());
    let mut one = Box::pin(pool.process(first));
    assert!(block_on(poll_once(one.as_mut())).is_none());
    begun.recv().unwrap();
    {
        let mut two = pin!(pool.process(second));
        assert!(block_on(poll_once(two.as_mut())).is_none());
        assert_eq!(pool.queue_len(), 1);
    }
    assert_eq!(pool.queue_len(), 0);
    assert!(second_begun.recv().is_err(), "never begun");
    // The gate stays shut: only the interrupt can end it.
    drop(one);
    wait_until("the worker is free again", || pool.busy() == 0);
    drop(open);
}

#[test]
fn out_of_time_a_job_comes_back_or_is_interrupted() {
    let pool = pool_of_gates(1);
    let ((first, begun, open), (second, second_begun, _second_open)) = (gated(), gated());
    let error = pool.process_timeout_blocking(first, Duration::from_millis(20)).unwrap_err();
    // A machine so busy that no worker came to it in that time makes this the other case.
    assert!(matches!(error, PoolError::TimedOut | PoolError::TimedOutWaiting(_)), "{error}");
    drop((begun, open));
    wait_until("the worker is free again", || pool.busy() == 0);

    pool.set_size(0).unwrap();
    let error = pool.process_timeout_blocking(second, Duration::from_millis(1)).unwrap_err();
    assert_eq!(error.to_string(), "no worker was free in time");
    let PoolError::TimedOutWaiting(second) = error else { panic!("{error:?}") };
    assert_eq!(pool.queue_len(), 0);
    drop(second);
    assert!(second_begun.recv().is_err(), "never begun");
}

#[test]
fn what_a_job_that_was_interrupted_gives_goes_to_nobody() {
    let pool = pool_of_gates(1);
    let (job, begun, _open) = gated();
    let mut processing = pool.begin(job).unwrap();
    begun.recv().unwrap();
    assert!(block_on(poll_once(&mut processing)).is_none());
    assert_eq!(processing.give_up().unwrap_err().to_string(), "the worker did not finish in time");
    let (next, next_begun, open) = gated();
    drop(open);
    assert_eq!(pool.process_blocking(next).unwrap(), Passed::Opened);
    next_begun.recv().unwrap();
}

#[test]
fn a_result_that_comes_with_the_end_of_the_time_is_not_lost() {
    let pool = Pool::new("fast", 1, || |number: u32, _: &Interrupt| number + 1).unwrap();
    let processing = pool.begin(1).unwrap();
    wait_until("the job is done", || pool.queue_len() == 0 && pool.busy() == 0);
    wait_until("its outcome is there", || Arc::strong_count(processing.job()) == 1);
    assert_eq!(processing.give_up(), Ok(2));
}

#[test]
fn a_worker_that_panics_is_replaced_and_its_caller_is_told() {
    let built = Arc::new(AtomicUsize::new(0));
    let count = built.clone();
    struct Touchy(u32);
    impl Work<u32, u32> for Touchy {
        fn process(&mut self, input: u32, _: &Interrupt) -> u32 {
            self.0 += 1;
            assert!(input != 0, "no zeros, please");
            self.0
        }
    }
    impl Drop for Touchy {
        fn drop(&mut self) {
            assert!(self.0 != 2, "even its destructor panics");
        }
    }
    let pool = Pool::new("touchy", 1, move || {
        assert!(count.fetch_add(1, Ordering::SeqCst) != 1, "cannot be built now");
        Touchy(0)
    });
    let pool = pool.unwrap();
    assert_eq!(pool.process_blocking(1), Ok(1));
    assert_eq!(pool.process_blocking(0), Err(PoolError::Panicked("no zeros, please".to_owned())));
    assert_eq!(
        pool.process_blocking(5),
        Err(PoolError::Panicked("cannot be built now".to_owned()))
    );
    assert_eq!(pool.process_blocking(5), Ok(1), "built anew");
    assert_eq!((pool.queue_len(), pool.busy(), pool.size()), (0, 0, 1));
}

#[test]
fn the_size_changes_while_it_runs() {
    let pool = pool_of_gates(1);
    let jobs: Vec<_> = (0..4).map(|_| gated()).collect();
    let (mut processing, mut gates) = (Vec::new(), Vec::new());
    for (job, begun, open) in jobs {
        processing.push(pool.begin(job).unwrap());
        gates.push((begun, open));
    }
    gates[0].0.recv().unwrap();
    assert_eq!((pool.queue_len(), pool.busy()), (3, 1));
    pool.set_size(3).unwrap();
    gates[1].0.recv().unwrap();
    gates[2].0.recv().unwrap();
    assert_eq!((pool.queue_len(), pool.busy(), pool.size()), (1, 3, 3));
    // Down again: those that are busy finish first, and two of them do not take the job that waits.
    pool.set_size(1).unwrap();
    assert_eq!((pool.queue_len(), pool.busy(), pool.size()), (1, 3, 1));
    let (_begun, open) = gates.remove(0);
    drop(open);
    wait_until("one has ended", || pool.shared.lock().workers == 2);
    assert_eq!((pool.queue_len(), pool.busy()), (1, 2));
    drop(gates);
    for processing in processing {
        assert_eq!(block_on(processing).unwrap(), Passed::Opened);
    }
    wait_until("two have ended", || pool.shared.lock().workers == 1);
    pool.set_size(0).unwrap();
    wait_until("all have ended", || pool.shared.lock().workers == 0);
    pool.set_size(1).unwrap();
    let (job, begun, open) = gated();
    drop(open);
    assert_eq!(pool.process_blocking(job).unwrap(), Passed::Opened);
    drop(begun);
}

#[test]
fn a_closed_pool_gives_back_what_waits_and_finishes_what_has_begun() {
    let pool = pool_of_gates(1);
    let ((first, begun, open), (second, _second_begun, _second_open)) = (gated(), gated());
    let (one, two) = (pool.begin(first).unwrap(), pool.begin(second).unwrap());
    begun.recv().unwrap();
    pool.close();
    assert!(matches!(block_on(two), Err(PoolError::Closed(_))));
    let (third, ..) = gated();
    assert!(matches!(pool.process_blocking(third), Err(PoolError::Closed(_))));
    pool.set_size(5).unwrap();
    assert_eq!(pool.size(), 0);
    let mut closed = pin!(pool.closed());
    assert!(block_on(poll_once(closed.as_mut())).is_none());
    drop(open);
    assert_eq!(block_on(one).unwrap(), Passed::Opened);
    block_on(closed);
    pool.close();
    block_on(pool.closed());
}

#[test]
fn dropping_the_pool_ends_its_threads() {
    let pool = pool_of_gates(3);
    let shared = pool.shared.clone();
    drop(pool);
    wait_until("all threads let go of the pool", || Arc::strong_count(&shared) == 1);
    assert_eq!(shared.lock().workers, 0);
}

#[test]
fn a_crowd_of_callers_that_come_and_go_leaves_the_queue_as_it_was() {
    let pool = Pool::new("crowd", 2, || {
        |number: u32, _: &Interrupt| {
            assert!(!number.is_multiple_of(7), "on purpose");
            number * 2
        }
    });
    let pool = pool.unwrap();
    let expected = |number: u32| match number % 7 {
        0 => Err(PoolError::Panicked("on purpose".to_owned())),
        _ => Ok(number * 2),
    };
    thread::scope(|threads| {
        for seed in 0..4 {
            let pool = &pool;
            threads.spawn(move || {
                let mut random = fastrand::Rng::with_seed(seed);
                for _ in 0..300 {
                    let number = random.u32(0..1000);
                    match random.u8(0..4) {
                        0 => assert_eq!(pool.process_blocking(number), expected(number)),
                        1 => drop(block_on(poll_once(pool.process(number)))),
                        2 => match pool.process_timeout_blocking(
                            number,
                            Duration::from_micros(random.u64(0..100)),
                        ) {
                            Err(PoolError::TimedOut | PoolError::TimedOutWaiting(_)) => {}
                            other => assert_eq!(other, expected(number)),
                        },
                        _ => pool.set_size(random.usize(1..4)).unwrap(),
                    }
                }
            });
        }
    });
    wait_until("nothing is left", || (pool.queue_len(), pool.busy()) == (0, 0));
}
