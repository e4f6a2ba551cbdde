//! The core's pieces, one thread, with their allocations: `cargo bench --bench core`; `cargo test`
//! runs each once.

use divan::counter::ItemsCount;
use divan::{AllocProfiler, Bencher, black_box};
use fanfare::limits::QUEUE_MESSAGES_DEFAULT;
use fanfare::{BatchDelivery, Broker, Pattern, Publisher, Subscription, Topic, WhenFull};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

/// Messages between two looks of the readers: far from full.
const ROUND: usize = 64;

fn main() {
    divan::main();
}

mod topics {
    use super::*;

    #[divan::bench]
    fn parse_a_topic() -> Topic {
        topic(black_box("orders.eu.created.42"))
    }

    #[divan::bench(args = ["orders.eu.created.42", "orders.*.created.*", "orders.>"])]
    fn match_a_pattern(bencher: Bencher<'_, '_>, pattern: &str) {
        let (pattern, topic) = (self::pattern(pattern), topic("orders.eu.created.42"));
        bencher.bench_local(|| black_box(&pattern).matches(black_box(&topic)));
    }
}

mod fan_out {
    use super::*;

    #[divan::bench(args = [0, 1, 8, 64])]
    fn publish_singly_and_read_batches(bencher: Bencher<'_, '_>, subscribers: usize) {
        let mut crowd = Crowd::new(subscribers, WhenFull::Block);
        bencher.counter(ItemsCount::new(ROUND * subscribers)).bench_local(|| {
            for message in 0..ROUND as u64 {
                let _ = black_box(crowd.publisher.try_publish(&crowd.topic, message));
            }
            crowd.read_batches()
        });
    }

    #[divan::bench(args = [1, 8, 64])]
    fn publish_a_batch_and_read_batches(bencher: Bencher<'_, '_>, subscribers: usize) {
        let mut crowd = Crowd::new(subscribers, WhenFull::Block);
        let mut batch = Vec::with_capacity(ROUND);
        bencher.counter(ItemsCount::new(ROUND * subscribers)).bench_local(|| {
            batch.extend(0..ROUND as u64);
            let _ = black_box(crowd.publisher.try_publish_batch(&crowd.topic, &mut batch));
            crowd.read_batches()
        });
    }

    #[divan::bench(args = [1, 8, 64])]
    fn publish_a_batch_and_read_messages(bencher: Bencher<'_, '_>, subscribers: usize) {
        let mut crowd = Crowd::new(subscribers, WhenFull::Block);
        let mut batch = Vec::with_capacity(ROUND);
        bencher.counter(ItemsCount::new(ROUND * subscribers)).bench_local(|| {
            batch.extend(0..ROUND as u64);
            let _ = black_box(crowd.publisher.try_publish_batch(&crowd.topic, &mut batch));
            crowd.read_messages()
        });
    }

    /// A read after every publish: no segment is shared by several messages.
    #[divan::bench(args = [1, 8, 64])]
    fn publish_and_read_in_lockstep(bencher: Bencher<'_, '_>, subscribers: usize) {
        let mut crowd = Crowd::new(subscribers, WhenFull::Block);
        bencher.counter(ItemsCount::new(subscribers)).bench_local(|| {
            let _ = black_box(crowd.publisher.try_publish(&crowd.topic, 1));
            crowd.read_batches()
        });
    }

    /// Everybody is full and on no wait: what a stuck audience costs.
    #[divan::bench(args = [1, 8, 64])]
    fn publish_to_the_full(bencher: Bencher<'_, '_>, subscribers: usize) {
        let mut crowd = Crowd::new(subscribers, WhenFull::DropNewest);
        crowd.fill();
        bencher.bench_local(|| crowd.publisher.try_publish(&crowd.topic, black_box(1)));
    }

    #[divan::bench(args = [1, 8, 64])]
    fn publish_over_the_oldest(bencher: Bencher<'_, '_>, subscribers: usize) {
        let mut crowd = Crowd::new(subscribers, WhenFull::DropOldest);
        crowd.fill();
        bencher.bench_local(|| crowd.publisher.try_publish(&crowd.topic, black_box(1)));
    }
}

mod subscriptions {
    use super::*;

    #[divan::bench(args = [0, 10_000])]
    fn come_and_go(bencher: Bencher<'_, '_>, others: usize) {
        let broker = Broker::<u64>::new();
        let kept: Vec<_> = (0..others)
            .filter_map(|number| broker.subscribe(&pattern(&format!("others.{number}"))).ok())
            .collect();
        assert_eq!(kept.len(), others);
        let pattern = pattern("comes.and.goes");
        bencher.bench_local(|| broker.subscribe(black_box(&pattern)).is_ok());
    }

    #[divan::bench]
    fn read_the_books(bencher: Bencher<'_, '_>) {
        let crowd = Crowd::new(1, WhenFull::Block);
        bencher.bench_local(|| crowd.subscriptions[0].books());
    }

    #[divan::bench]
    fn find_nothing(bencher: Bencher<'_, '_>) {
        let mut crowd = Crowd::new(1, WhenFull::Block);
        bencher.bench_local(|| crowd.subscriptions[0].try_recv_batch().is_err());
    }
}

struct Crowd {
    topic: Topic,
    publisher: Publisher<u64>,
    subscriptions: Vec<Subscription<u64>>,
}

impl Crowd {
    fn new(subscribers: usize, when_full: WhenFull) -> Self {
        let topic = topic("bench.crowd");
        let broker = Broker::<u64>::builder().when_full(when_full).build();
        let pattern = Pattern::from(&topic);
        let subscriptions: Vec<_> =
            (0..subscribers).filter_map(|_| broker.subscribe(&pattern).ok()).collect();
        assert_eq!(subscriptions.len(), subscribers);
        Self { topic, publisher: broker.publisher(), subscriptions }
    }

    /// Leaves no room in any queue.
    fn fill(&mut self) {
        for message in 0..QUEUE_MESSAGES_DEFAULT as u64 {
            let _ = self.publisher.try_publish(&self.topic, message);
        }
    }

    fn read_batches(&mut self) -> usize {
        let mut read = 0;
        for subscription in &mut self.subscriptions {
            while let Ok(delivery) = subscription.try_recv_batch() {
                if let BatchDelivery::Batch(batch) = delivery {
                    read += batch.iter().map(black_box).count();
                }
            }
        }
        read
    }

    fn read_messages(&mut self) -> usize {
        let mut read = 0;
        for subscription in &mut self.subscriptions {
            while let Ok(delivery) = subscription.try_recv() {
                black_box(delivery);
                read += 1;
            }
        }
        read
    }
}

fn topic(text: &str) -> Topic {
    Topic::parse(text).expect("a valid topic")
}

fn pattern(text: &str) -> Pattern {
    Pattern::parse(text).expect("a valid pattern")
}
