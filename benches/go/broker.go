package main

import (
	"errors"
	"sync"
	"time"
)

// patience is how long a publish waits for one full subscriber before it goes on without it.
const patience = 5 * time.Millisecond

var errClosed = errors.New("the broker is closed")

// Message is what is published: a byte slice shared by all its receivers.
type Message = []byte

// Broker is a message queue as many Go services have one: a channel per subscriber, one to three workers per publish,
// and up to 5 ms for a full subscriber. A worker resets one timer for every subscriber instead of calling time.After for
// each, which would leak until the timers fire. Broadcast awaits its workers, so messages stay in order.
type Broker struct {
	mutex    sync.RWMutex
	topics   map[string][]chan Message
	capacity int
	closed   chan struct{}
	// tuned goes beyond that: a lone worker runs in the publisher's own goroutine, and a worker touches its
	// timer only when a subscriber is full. What a Go programmer could make of the same broker in an afternoon.
	tuned bool
}

func newBroker(tuned bool) *Broker {
	return &Broker{
		topics:   make(map[string][]chan Message),
		capacity: 1024,
		closed:   make(chan struct{}),
		tuned:    tuned,
	}
}

// setConditions decides how many messages each later subscriber may have waiting.
func (broker *Broker) setConditions(capacity int) {
	broker.mutex.Lock()
	defer broker.mutex.Unlock()
	broker.capacity = capacity
}

func (broker *Broker) subscribe(topic string) (<-chan Message, error) {
	if broker.isClosed() {
		return nil, errClosed
	}
	broker.mutex.Lock()
	defer broker.mutex.Unlock()
	queue := make(chan Message, broker.capacity)
	broker.topics[topic] = append(broker.topics[topic], queue)
	return queue, nil
}

func (broker *Broker) unsubscribe(topic string, leaving <-chan Message) error {
	if broker.isClosed() {
		return errClosed
	}
	broker.mutex.Lock()
	defer broker.mutex.Unlock()
	// A new slice, because a broadcast may still walk the old one.
	var staying []chan Message
	for _, queue := range broker.topics[topic] {
		if (<-chan Message)(queue) != leaving {
			staying = append(staying, queue)
		}
	}
	broker.topics[topic] = staying
	return nil
}

func (broker *Broker) publish(topic string, message Message) error {
	if broker.isClosed() {
		return errClosed
	}
	broker.mutex.RLock()
	audience := broker.topics[topic]
	broker.mutex.RUnlock()
	broker.broadcast(message, audience)
	return nil
}

// close ends every publish and every later call. Messages already queued can still be received.
func (broker *Broker) close() {
	broker.mutex.Lock()
	defer broker.mutex.Unlock()
	if broker.isClosed() {
		return
	}
	close(broker.closed)
	broker.topics = make(map[string][]chan Message)
}

func (broker *Broker) isClosed() bool {
	select {
	case <-broker.closed:
		return true
	default:
		return false
	}
}

// broadcast returns when every subscriber has the message or has been waited for in vain.
func (broker *Broker) broadcast(message Message, audience []chan Message) {
	workers := workersFor(len(audience))
	if workers == 1 && broker.tuned {
		broker.deliver(message, audience, 0, 1)
		return
	}
	var running sync.WaitGroup
	running.Add(workers)
	for first := 0; first < workers; first++ {
		go func(first int) {
			defer running.Done()
			broker.deliver(message, audience, first, workers)
		}(first)
	}
	running.Wait()
}

func workersFor(subscribers int) int {
	switch {
	case subscribers <= 100:
		return 1
	case subscribers <= 1000:
		return 2
	default:
		return 3
	}
}

// deliver serves every stride-th subscriber from first on.
func (broker *Broker) deliver(message Message, audience []chan Message, first, stride int) {
	if broker.tuned {
		broker.deliverTryFirst(message, audience, first, stride)
		return
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for at := first; at < len(audience); at += stride {
		rearm(timer)
		select {
		case audience[at] <- message:
		case <-timer.C:
		case <-broker.closed:
			return
		}
	}
}

func (broker *Broker) deliverTryFirst(message Message, audience []chan Message, first, stride int) {
	var timer *time.Timer
	for at := first; at < len(audience); at += stride {
		select {
		case audience[at] <- message:
			continue
		default:
		}
		if timer == nil {
			timer = time.NewTimer(patience)
			defer timer.Stop()
		} else {
			rearm(timer)
		}
		select {
		case audience[at] <- message:
		case <-timer.C:
		case <-broker.closed:
			return
		}
	}
}

// rearm empties the channel of a timer that has fired, or the next wait would end at once.
func rearm(timer *time.Timer) {
	if !timer.Stop() {
		select {
		case <-timer.C:
		default:
		}
	}
	timer.Reset(patience)
}
