//! What the optional features add, compiled with them: `cargo test -p fanfare --all-features`.

#[cfg(feature = "serde")]
mod serialized {
    use fanfare::{Broker, Pattern, Receipt, Topic, WhenFull};
    use serde_json::{from_value, json, to_value};
    use testkit::broker::{at_once, bounded, topic};

    #[test]
    fn topics_and_patterns_are_text_that_is_checked() {
        let topic = Topic::parse("orders.eu").unwrap();
        let pattern = Pattern::parse("orders.*").unwrap();
        assert_eq!(to_value((&topic, &pattern)).unwrap(), json!(["orders.eu", "orders.*"]));
        let read: (Topic, Pattern) = from_value(json!(["orders.eu", "orders.*"])).unwrap();
        assert_eq!(read, (topic, pattern));
        let error = from_value::<Topic>(json!("orders.*")).unwrap_err().to_string();
        assert!(error.contains("wildcard at byte 7"), "{error}");
    }

    #[test]
    fn receipts_and_policies_come_back_as_they_were() {
        let receipt =
            Receipt { matched: 3, queued: 2, waited: 1, dropped: 1, disconnected: 0, remote: 1 };
        assert_eq!(from_value::<Receipt>(to_value(receipt).unwrap()).unwrap(), receipt);
        let policy = WhenFull::default();
        assert_eq!(from_value::<WhenFull>(to_value(policy).unwrap()).unwrap(), policy);
    }

    #[test]
    fn statistics_say_what_they_are() {
        let broker = Broker::<u64>::new();
        let _full = bounded(&broker, "t", 1, WhenFull::DropNewest);
        let mut publisher = broker.publisher();
        for number in 0..3 {
            let _ = at_once(publisher.publish(&topic("t"), number)).unwrap();
        }
        let stats = to_value(broker.subscription_stats()).unwrap();
        let books = json!({"offered": 3, "received": 0, "queued": 1, "dropped": 2});
        assert_eq!((&stats[0]["books"], &stats[0]["interest"]["Pattern"]), (&books, &json!("t")));
        assert_eq!(to_value(broker.topic_stats()).unwrap()[0]["topic"], "t");
        assert_eq!(to_value(broker.stats()).unwrap()["deliveries"]["dropped"], 2);
        let drops = to_value(broker.drop_stats()).unwrap();
        assert_eq!(drops["by_policy"]["drop_newest"]["full"], 2);
    }
}

#[cfg(feature = "sink")]
mod sink {
    use fanfare::limits::SINK_MESSAGES_MAX;
    use fanfare::{Broker, PublishError, WhenFull};
    use futures_util::SinkExt;
    use std::pin::pin;
    use testkit::broker::{
        Got, Load, Loads, at_once, bounded, numbers, poll_once, take_all, take_all_runs, topic,
    };

    #[test]
    fn fed_messages_are_published_at_the_flush() {
        let (broker, loads) = (Broker::<Load>::new(), Loads::new());
        let mut subscription = bounded(&broker, "t", 10, WhenFull::Block);
        let mut sink = broker.publisher().into_sink(&topic("t"));
        (0..3).for_each(|number| at_once(sink.feed(loads.light(number))).unwrap());
        assert!(take_all(&mut subscription).is_empty());
        at_once(sink.flush()).unwrap();
        assert_eq!(take_all_runs(&mut subscription), numbers(0..3));
        assert_eq!((sink.receipt().matched, sink.receipt().queued), (3, 3));
        broker.close();
        at_once(sink.feed(loads.light(3))).unwrap();
        assert_eq!(at_once(sink.close()), Err(PublishError::Closed(())));
    }

    #[test]
    fn a_full_batch_is_flushed_and_waits_for_room() {
        let (broker, loads) = (Broker::<Load>::new(), Loads::new());
        let mut subscription = bounded(&broker, "t", SINK_MESSAGES_MAX - 1, WhenFull::Block);
        let mut sink = broker.publisher().into_sink(&topic("t"));
        for number in 0..SINK_MESSAGES_MAX as u64 {
            at_once(sink.feed(loads.light(number))).unwrap();
        }
        let last = SINK_MESSAGES_MAX as u64;
        {
            let mut feed = pin!(sink.feed(loads.light(last)));
            assert!(poll_once(feed.as_mut()).is_pending(), "one message has no room");
            assert_eq!(take_all(&mut subscription), numbers(0..last));
            assert!(poll_once(feed.as_mut()).is_ready());
        }
        at_once(sink.flush()).unwrap();
        assert_eq!(take_all(&mut subscription), [Got::Number(last)]);
        assert_eq!((sink.receipt().queued, sink.receipt().waited), (last + 1, 1));
    }
}

#[cfg(feature = "tracing")]
mod traced {
    use fanfare::{Broker, WhenFull};
    use std::fmt::{Debug, Write};
    use std::sync::{Arc, Mutex};
    use std::thread::{self, ThreadId};
    use testkit::broker::{at_once, bounded, topic};
    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber, callsite, subscriber};

    /// One line for each event of one thread.
    #[derive(Clone)]
    struct Lines(ThreadId, Arc<Mutex<Vec<String>>>);

    struct Line(String);

    impl Visit for Line {
        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            write!(self.0, " {field}={value:?}").unwrap();
        }
    }

    impl Subscriber for Lines {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.target() == "fanfare"
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, event: &Event<'_>) {
            if thread::current().id() == self.0 {
                let mut line = Line(String::new());
                event.record(&mut line);
                self.1.lock().unwrap().push(line.0);
            }
        }

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }

    #[test]
    fn drops_and_ends_are_events_and_what_goes_well_is_none() {
        let lines = Lines(thread::current().id(), Arc::default());
        // For all threads: one without a subscriber that comes to an event first turns it off for
        // all, if there is only one subscriber. Rebuilt for one that came just before.
        subscriber::set_global_default(lines.clone()).unwrap();
        callsite::rebuild_interest_cache();
        let broker = Broker::<u64>::new();
        let full = bounded(&broker, "t", 1, WhenFull::DropNewest);
        let mut publisher = broker.publisher();
        let _ = at_once(publisher.publish(&topic("t"), 1)).unwrap();
        let _ = at_once(publisher.publish(&topic("t"), 2)).unwrap();
        drop(full);
        let lines = lines.1.lock().unwrap().clone();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].contains("dropped=1") && lines[0].contains("topic=\"t\""), "{lines:?}");
        assert!(lines[1].contains("reason=Unsubscribed"), "{lines:?}");
    }
}
