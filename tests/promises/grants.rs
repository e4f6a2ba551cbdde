//! Bounds stay exact although publishers take credit for many messages at once, and do not ask
//! queues that are full.
//!
//! The books are not looked at in between: that would take the credit back. The receipts tell what
//! was accepted.

use fanfare::{
    BatchDelivery, Broker, Origin, Pattern, Publisher, Receipt, Subscription, Topic, TryRecvError,
    WhenFull,
};

struct Reader {
    subscription: Subscription<Vec<u8>>,
    pattern: Pattern,
    origin: Option<usize>,
    max_messages: usize,
    max_bytes: usize,
    queued: Vec<usize>,
    high_water: usize,
    dropped: u64,
    told: u64,
}

impl Reader {
    fn new(broker: &Broker<Vec<u8>>, random: &mut fastrand::Rng, origins: &[Origin]) -> Self {
        let pattern = Pattern::parse(["a", "b", "*"][random.usize(..3)]).unwrap();
        // Some so short that they are never granted from, some bounded by bytes rather than by
        // messages.
        let (max_messages, max_bytes) = (random.usize(1..200), random.usize(20..4000));
        let origin = random.bool().then(|| random.usize(..origins.len()));
        let mut builder =
            broker.subscription(&pattern).queue_messages(max_messages).queue_bytes(max_bytes);
        if let Some(origin) = origin {
            builder = builder.no_echo(origins[origin]);
        }
        let subscription = builder.when_full(WhenFull::DropNewest).subscribe().unwrap();
        Self {
            subscription,
            pattern,
            origin,
            max_messages,
            max_bytes,
            queued: Vec::new(),
            high_water: 0,
            dropped: 0,
            told: 0,
        }
    }

    fn accepts(&mut self, weight: usize) -> bool {
        let bytes: usize = self.queued.iter().sum();
        let has_room = self.queued.len() < self.max_messages && bytes + weight <= self.max_bytes;
        if has_room {
            self.queued.push(weight);
            self.high_water = self.high_water.max(self.queued.len());
        } else {
            self.dropped += 1;
        }
        has_room
    }

    fn read_one(&mut self) {
        loop {
            match self.subscription.try_recv() {
                Ok(fanfare::Delivery::Missed(count)) => self.told += count,
                Ok(fanfare::Delivery::Message(message)) => {
                    // Of several publishers any order is right, so only the kind is looked at.
                    let place = self.queued.iter().position(|weight| *weight == message.len());
                    self.queued.remove(place.expect("nothing is received that was not accepted"));
                    return;
                }
                Err(TryRecvError::Empty) => {
                    return assert!(self.queued.is_empty(), "nothing accepted is lost");
                }
                Err(TryRecvError::Ended) => panic!("nobody ended it"),
            }
        }
    }
}

#[test]
fn receipts_are_exact_while_credit_is_taken_in_advance() {
    for seed in 0..30 {
        let mut random = fastrand::Rng::with_seed(seed);
        let broker = Broker::new();
        let origins = [Origin::unique(), Origin::unique(), Origin::unique()];
        let mut publishers: Vec<Publisher<_>> =
            origins.iter().map(|origin| broker.publisher_as(*origin)).collect();
        let topics = [Topic::parse("a").unwrap(), Topic::parse("b").unwrap()];
        let mut readers: Vec<_> =
            (0..6).map(|_| Reader::new(&broker, &mut random, &origins)).collect();
        for _ in 0..400 {
            match random.u32(..100) {
                0 => drop(readers.swap_remove(random.usize(..readers.len()))),
                1 => readers.push(Reader::new(&broker, &mut random, &origins)),
                2..30 if !readers.is_empty() => {
                    let reader = random.usize(..readers.len());
                    (0..random.usize(1..40)).for_each(|_| readers[reader].read_one());
                }
                _ => publish_some(&mut random, &mut publishers, &topics, &mut readers),
            }
            if readers.is_empty() {
                readers.push(Reader::new(&broker, &mut random, &origins));
            }
        }
        for reader in &mut readers {
            assert_eq!(
                reader.subscription.stats().high_water_messages,
                reader.high_water,
                "seed {seed}"
            );
            let books = reader.subscription.books();
            assert_eq!(books.queued as usize, reader.queued.len(), "seed {seed}");
            assert_eq!(
                reader.subscription.stats().queued_bytes,
                reader.queued.iter().sum::<usize>(),
                "seed {seed}"
            );
            assert_eq!(books.dropped, reader.dropped, "seed {seed}");
            (0..=reader.queued.len()).for_each(|_| reader.read_one());
            assert_eq!(reader.told, reader.dropped, "seed {seed}");
        }
    }
}

fn publish_some(
    random: &mut fastrand::Rng,
    publishers: &mut [Publisher<Vec<u8>>],
    topics: &[Topic],
    readers: &mut [Reader],
) {
    let (from, topic) = (random.usize(..publishers.len()), &topics[random.usize(..topics.len())]);
    for _ in 0..random.usize(1..100) {
        let heaviest = if random.u8(..10) == 0 { 200 } else { 10 };
        let weight = random.usize(..heaviest);
        let receipt = publishers[from].try_publish(topic, vec![0; weight]).unwrap();
        let mut expected = Receipt::default();
        for reader in readers
            .iter_mut()
            .filter(|reader| reader.pattern.matches(topic) && reader.origin != Some(from))
        {
            let was_accepted = u64::from(reader.accepts(weight));
            expected += Receipt {
                matched: 1,
                queued: was_accepted,
                dropped: 1 - was_accepted,
                ..Receipt::default()
            };
        }
        assert_eq!(receipt, expected);
    }
}

/// A subscription without room is cut off from the segment, and gets every later message of it by
/// an entry, until a new segment begins.
#[test]
fn a_receiver_with_room_again_soon_reads_many_messages_at_once() {
    for stuck in [0, 2] {
        let broker = Broker::<u64>::new();
        let to = Topic::parse("t").unwrap();
        let subscribe = |messages| {
            let builder = broker.subscription(&Pattern::from(&to)).queue_messages(messages);
            builder.when_full(WhenFull::DropNewest).subscribe().unwrap()
        };
        let mut reading: Vec<_> = (0..8).map(|_| subscribe(4)).collect();
        let _stuck: Vec<_> = (0..stuck).map(|_| subscribe(4)).collect();
        // Keeps every segment alive: one that nobody reads any more is succeeded anyway.
        let _slow = subscribe(1000);
        let mut publisher = broker.publisher();
        for first in (0..100).step_by(5) {
            (first..first + 5).for_each(|number| {
                let _ = publisher.try_publish(&to, number).unwrap();
            });
            for subscription in &mut reading {
                match subscription.try_recv_batch() {
                    Ok(BatchDelivery::Batch(run)) if first > 10 => {
                        assert_eq!(run.len(), 4, "at {first}")
                    }
                    Ok(BatchDelivery::Batch(_)) => {}
                    other => panic!("{other:?}"),
                }
                while subscription.try_recv_batch().is_ok() {}
            }
        }
    }
}
