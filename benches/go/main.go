// The Go side of examples/fanout_race.rs: one run of one row, whose result is printed as a line of key=value.
package main

import (
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const topic = "race"

// A publish that takes this long has waited for somebody.
const slowPublish = time.Millisecond

type load struct {
	subscribers, stuck, publishers, payloadBytes, capacity int
	// How many messages each publisher publishes, and how many before the clock starts.
	messages, warmUp uint64
	// The time from one publish to the next; 0 is as fast as it goes.
	gap   time.Duration
	tuned bool
}

type outcome struct {
	elapsed        time.Duration
	deliveries     uint64
	lost           uint64
	outOfOrder     uint64
	longestPublish time.Duration
	slowPublishes  uint64
}

func main() {
	var todo load
	flag.IntVar(&todo.subscribers, "subscribers", 1, "subscribers in all")
	flag.IntVar(&todo.stuck, "stuck", 0, "subscribers that never read")
	flag.IntVar(&todo.publishers, "publishers", 1, "publishers")
	flag.IntVar(&todo.payloadBytes, "payload", 64, "bytes a message, at least 16")
	flag.IntVar(&todo.capacity, "capacity", 1024, "messages a subscriber may have waiting")
	flag.Uint64Var(&todo.messages, "messages", 1, "messages of each publisher")
	flag.Uint64Var(&todo.warmUp, "warm-up", 0, "messages before the clock starts")
	flag.DurationVar(&todo.gap, "gap", 0, "time from one publish to the next")
	flag.BoolVar(&todo.tuned, "tuned", false, "what could be made of it in an afternoon: see Broker.tuned")
	flag.Parse()
	if todo.payloadBytes < 16 || todo.stuck >= todo.subscribers {
		fmt.Fprintln(os.Stderr, "a message has at least 16 bytes, and somebody must read")
		os.Exit(2)
	}
	result := run(todo)
	fmt.Printf("elapsed_ns=%d deliveries=%d lost=%d out_of_order=%d longest_publish_ns=%d slow_publishes=%d\n",
		result.elapsed.Nanoseconds(), result.deliveries, result.lost, result.outOfOrder,
		result.longestPublish.Nanoseconds(), result.slowPublishes)
}

func run(todo load) outcome {
	broker := newBroker(todo.tuned)
	broker.setConditions(todo.capacity)
	living := todo.subscribers - todo.stuck
	expected := todo.warmUp + todo.messages*uint64(todo.publishers)

	// Closed when the last publish has returned: a reader that is short then has lost the rest.
	published := make(chan struct{})
	readers := make([]*reader, 0, living)
	var reading sync.WaitGroup
	for number := 0; number < todo.subscribers; number++ {
		queue, err := broker.subscribe(topic)
		if err != nil {
			panic(err)
		}
		if number < todo.stuck {
			continue
		}
		one := &reader{queue: queue, next: make([]uint64, todo.publishers), warmUp: todo.warmUp}
		readers = append(readers, one)
		reading.Add(1)
		go func() {
			defer reading.Done()
			one.read(expected, published)
		}()
	}

	var result outcome
	var sequence uint64
	for ; sequence < todo.warmUp; sequence++ {
		_ = broker.publish(topic, newMessage(todo, 0, sequence))
	}
	// A reader that was not waited for long enough misses some: then an empty queue says that no more will come.
	for _, one := range readers {
		for one.warmedUp.Load() < todo.warmUp && len(one.queue) > 0 {
			runtime.Gosched()
		}
	}

	start := time.Now()
	var publishing sync.WaitGroup
	stalls := make([]outcome, todo.publishers)
	for number := 0; number < todo.publishers; number++ {
		publishing.Add(1)
		go func(number int) {
			defer publishing.Done()
			first := uint64(0)
			if number == 0 {
				first = todo.warmUp
			}
			stalls[number] = publishAll(broker, todo, number, first)
		}(number)
	}
	publishing.Wait()
	close(published)
	reading.Wait()
	result.elapsed = time.Since(start)

	for _, one := range readers {
		if one.received > todo.warmUp {
			result.deliveries += one.received - todo.warmUp
		}
		result.lost += expected - one.received
		result.outOfOrder += one.outOfOrder
	}
	for _, stall := range stalls {
		if stall.longestPublish > result.longestPublish {
			result.longestPublish = stall.longestPublish
		}
		result.slowPublishes += stall.slowPublishes
	}
	broker.close()
	return result
}

func publishAll(broker *Broker, todo load, publisher int, first uint64) (stalls outcome) {
	due := time.Now()
	for sequence := first; sequence < first+todo.messages; sequence++ {
		message := newMessage(todo, publisher, sequence)
		if todo.gap == 0 {
			_ = broker.publish(topic, message)
			continue
		}
		for time.Now().Before(due) {
			runtime.Gosched()
		}
		begin := time.Now()
		_ = broker.publish(topic, message)
		took := time.Since(begin)
		due = time.Now().Add(todo.gap)
		if took > stalls.longestPublish {
			stalls.longestPublish = took
		}
		if took >= slowPublish {
			stalls.slowPublishes++
		}
	}
	return stalls
}

func newMessage(todo load, publisher int, sequence uint64) Message {
	message := make(Message, todo.payloadBytes)
	binary.LittleEndian.PutUint64(message, sequence)
	binary.LittleEndian.PutUint64(message[8:], uint64(publisher))
	return message
}

type reader struct {
	queue      <-chan Message
	next       []uint64
	received   uint64
	outOfOrder uint64
	// The publisher looks at warmedUp while it warms up; afterwards it costs the reader nothing.
	warmUp   uint64
	warmedUp atomic.Uint64
}

// read ends when all has come, or when nothing is left after the last publish.
func (one *reader) read(expected uint64, published <-chan struct{}) {
	for count := uint64(0); count < expected; count++ {
		select {
		case message := <-one.queue:
			one.check(message)
			continue
		default:
		}
		select {
		case message := <-one.queue:
			one.check(message)
		case <-published:
			one.readRest()
			return
		}
	}
}

func (one *reader) readRest() {
	for {
		select {
		case message := <-one.queue:
			one.check(message)
		default:
			return
		}
	}
}

// check counts the message and holds each publisher to its order; a gap is a loss, not a fault of order.
func (one *reader) check(message Message) {
	sequence := binary.LittleEndian.Uint64(message)
	publisher := binary.LittleEndian.Uint64(message[8:])
	if sequence < one.next[publisher] {
		one.outOfOrder++
	}
	one.next[publisher] = sequence + 1
	one.received++
	if one.received <= one.warmUp {
		one.warmedUp.Store(one.received)
	}
}
