//! Request and reply.

use fanfare::{BatchDelivery, Broker, Delivery, RequestError, WhenFull};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use testkit::broker::{
    FOREVER, at_once, begin_and_cancel, block_on, bounded, pattern, poll_once, topic,
};

#[test]
fn nobody_there_is_told_at_once() {
    let broker = Broker::<u64>::new();
    assert!(matches!(
        at_once(broker.request(&topic("t"), 7, FOREVER)),
        Err(RequestError::NoResponders(7))
    ));
    assert_eq!(broker.stats().subscriptions, 0, "no inbox is left");
}

#[test]
fn a_closed_broker_gives_the_request_back() {
    let broker = Broker::<u64>::new();
    let _responder = bounded(&broker, "t", 10, WhenFull::Block);
    broker.close();
    assert!(matches!(
        at_once(broker.request(&topic("t"), 7, FOREVER)),
        Err(RequestError::Closed(7))
    ));
}

#[test]
fn the_first_answer_is_the_answer() {
    let broker = Broker::<u64>::new();
    let mut responder = bounded(&broker, "double", 10, WhenFull::Block);
    let (name, mut publisher) = (topic("double"), broker.publisher());
    let mut request = pin!(broker.request(&name, 21, FOREVER));
    assert!(poll_once(request.as_mut()).is_pending());
    let Ok(Delivery::Message(message)) = responder.try_recv() else { panic!("a request") };
    let reply_to = message.reply_to().expect("an inbox").clone();
    assert_eq!(publisher.try_publish(&reply_to, *message * 2).unwrap().queued, 1);
    let Poll::Ready(Ok(answer)) = poll_once(request.as_mut()) else { panic!("an answer") };
    assert_eq!((*answer, answer.topic()), (42, &reply_to));
    assert_eq!(publisher.try_publish(&reply_to, 43).unwrap().matched, 0, "the inbox is gone");
    assert_eq!(broker.stats().subscriptions, 1, "the responder alone");
}

#[test]
fn each_request_has_an_inbox_of_its_own() {
    let broker = Broker::<u64>::new();
    let mut responder = bounded(&broker, "t", 10, WhenFull::Block);
    let (name, mut publisher) = (topic("t"), broker.publisher());
    let mut requests: Vec<_> =
        (0..5).map(|number| Box::pin(broker.request(&name, number, FOREVER))).collect();
    for request in &mut requests {
        assert!(poll_once(request.as_mut()).is_pending());
    }
    let mut asked = Vec::new();
    while let Ok(Delivery::Message(message)) = responder.try_recv() {
        asked.push(message.to_message());
    }
    assert_eq!(asked.len(), 5);
    for message in asked.iter().rev() {
        let _ = publisher.try_publish(message.reply_to().unwrap(), **message + 100).unwrap();
    }
    for (number, request) in (0..).zip(&mut requests) {
        let Poll::Ready(Ok(answer)) = poll_once(request.as_mut()) else {
            panic!("an answer for {number}")
        };
        assert_eq!(*answer, number + 100);
    }
}

#[test]
fn an_unanswered_request_times_out_and_leaves_nothing() {
    let broker = Broker::<u64>::new();
    let _responder = bounded(&broker, "t", 10, WhenFull::Block);
    let answer = block_on(broker.request(&topic("t"), 1, Duration::from_millis(1)));
    assert!(matches!(answer, Err(RequestError::TimedOut)));
    assert_eq!(broker.stats().subscriptions, 1);
}

#[test]
fn a_cancelled_request_leaves_nothing() {
    let broker = Broker::<u64>::new();
    let mut responder = bounded(&broker, "t", 10, WhenFull::Block);
    begin_and_cancel(broker.request(&topic("t"), 1, FOREVER));
    assert_eq!(broker.stats().subscriptions, 1);
    let Ok(Delivery::Message(message)) = responder.try_recv() else { panic!("the request") };
    assert_eq!(broker.publisher().try_publish(message.reply_to().unwrap(), 2).unwrap().matched, 0);
}

#[test]
fn a_request_that_nobody_has_room_for_is_told() {
    let broker = Broker::<u64>::new();
    let _responder = bounded(&broker, "t", 1, WhenFull::DropNewest);
    let _ = broker.publisher().try_publish(&topic("t"), 0).unwrap();
    assert!(matches!(
        block_on(broker.request(&topic("t"), 1, FOREVER)),
        Err(RequestError::Dropped)
    ));
    assert_eq!(broker.stats().subscriptions, 1);
}

/// A responder that never reads does not hold a request longer than its time-out.
#[test]
fn waiting_for_room_counts_towards_the_time_out() {
    let broker = Broker::<u64>::new();
    let _responder = bounded(&broker, "t", 1, WhenFull::Block);
    let _ = broker.publisher().try_publish(&topic("t"), 0).unwrap();
    let answer = testkit::broker::watched(move || {
        block_on(broker.request(&topic("t"), 1, Duration::from_millis(1)))
    });
    assert!(matches!(answer, Err(RequestError::TimedOut | RequestError::Dropped)));
}

/// The responder goes away without an answer; the request still ends by its time-out, and by a
/// close.
#[test]
fn a_responder_that_leaves() {
    let broker = Broker::<u64>::new();
    let responder = bounded(&broker, "t", 10, WhenFull::Block);
    let name = topic("t");
    let mut request = pin!(broker.request(&name, 1, Duration::from_millis(1)));
    // On a busy machine its time may be over by then.
    let at_once = poll_once(request.as_mut());
    drop(responder);
    let answer = match at_once {
        Poll::Ready(answer) => answer,
        Poll::Pending => block_on(request),
    };
    assert!(answer.is_err());
    assert_eq!(broker.stats().subscriptions, 0);
}

#[test]
fn a_close_ends_a_request() {
    testkit::broker::watched(|| {
        let broker = Broker::<u64>::new();
        let _responder = bounded(&broker, "t", 10, WhenFull::Block);
        let name = topic("t");
        let mut request = pin!(broker.request(&name, 1, FOREVER));
        assert!(poll_once(request.as_mut()).is_pending());
        broker.close();
        assert!(block_on(request).is_err(), "no answer can come any more");
    });
}

#[test]
fn publish_request_carries_any_reply_topic() {
    let broker = Broker::<u64>::new();
    let to = pattern("t");
    let mut subscription = broker.subscribe(&to).unwrap();
    let mut publisher = broker.publisher();
    let _ = at_once(publisher.publish_request(&topic("t"), &topic("x"), 1)).unwrap();
    let _ = at_once(publisher.publish(&topic("t"), 2)).unwrap();
    let _ = at_once(publisher.publish_request(&topic("t"), &topic("y"), 3)).unwrap();
    let mut seen = Vec::new();
    while let Ok(BatchDelivery::Batch(run)) = subscription.try_recv_batch() {
        seen.extend(
            run.entries()
                .map(|(number, reply_to)| (*number, reply_to.map(|topic| topic.to_string()))),
        );
    }
    assert_eq!(seen, [(1, Some("x".into())), (2, None), (3, Some("y".into()))]);
}
