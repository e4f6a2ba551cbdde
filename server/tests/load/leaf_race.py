#!/usr/bin/env python3
"""Fanfare as a leaf of a NATS hub, and nats-server in its place: rates, processor time, memory.

leaf_race.py FANFARE NATS_SERVER [--rounds N] [--messages N] [--subscribers N] [--bytes N]

The hub is NATS_SERVER, and each round runs both leaves in turn:

- down: a publisher at the hub, the subscribers at the leaf;
- up: a publisher at the leaf, the subscribers at the hub, which limit it;
- up to one: ten times as many messages to one subscriber, so that the leaf limits it;
- round trip: a request at the leaf that is answered at the hub;
- interest: INTEREST subscriptions at the leaf, until the hub knows the last of them.

Processor time is the leaf's alone, so it says the same on a busy machine. The publisher is never
more than WINDOW messages ahead of the slowest subscriber, so nobody drops anything. The medians of
all rounds are shown.
"""

import argparse
import os
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from ports import free_ports

WINDOW, BATCH, REQUESTS, PATIENCE_S = 10_000, 500, 2_000, 60
CONNECT = b'CONNECT {"verbose":false,"pedantic":false,"headers":true}\r\n'
INTEREST = 100_000
TITLES = [
    "down: deliveries a second",
    "down: leaf's microseconds for a delivery",
    "up: deliveries a second",
    "up: leaf's microseconds for a message",
    "up to one: messages a second",
    "up to one: leaf's microseconds for a message",
    "round trip, microseconds",
    "interest: seconds until the hub knows it",
    "interest: leaf's seconds of processor time",
    "interest: MiB at the hub",
    "interest: MiB at the leaf",
]
PORTS = free_ports(26_000)


class Server:
    """A process that clients of NATS connect to at `port`."""

    def __init__(self, command, port):
        self.port = port
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen(command, stdout=quiet, stderr=quiet)

    def processor_s(self):
        total_ns = 0
        for task in os.listdir(f"/proc/{self.process.pid}/task"):
            with open(f"/proc/{self.process.pid}/task/{task}/schedstat") as file:
                total_ns += int(file.read().split()[0])
        return total_ns / 1e9

    def memory_mib(self):
        with open(f"/proc/{self.process.pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

    def connect(self, *lines):
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                client = socket.create_connection(("127.0.0.1", self.port))
                break
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.02)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.sendall(CONNECT + b"".join(line + b"\r\n" for line in lines) + b"PING\r\n")
        said = b""
        while b"PONG\r\n" not in said:
            said += client.recv(65536)
        return client

    def end(self):
        self.process.kill()
        self.process.wait()


def hub(program, folder):
    port, leaf = next(PORTS), next(PORTS)
    conf = os.path.join(folder, "hub.conf")
    with open(conf, "w") as file:
        file.write(
            f'listen: "127.0.0.1:{port}"\nserver_name: hub\n'
            f'leafnodes {{ listen: "127.0.0.1:{leaf}" }}\n'
        )
    return Server([program, "-c", conf], port), leaf


def nats_leaf(program, folder, hub_port):
    port, conf = next(PORTS), os.path.join(folder, "leaf.conf")
    with open(conf, "w") as file:
        file.write(
            f'listen: "127.0.0.1:{port}"\nserver_name: leaf\n'
            f'leafnodes {{ remotes: [ {{ url: "nats://127.0.0.1:{hub_port}" }} ] }}\n'
        )
    return Server([program, "-c", conf], port)


def fanfare_leaf(program, _folder, hub_port):
    port = next(PORTS)
    off = [f"--{listener}=off" for listener in ("chat", "push", "push-udp", "push-http")]
    flags = ["--nats", f"127.0.0.1:{port}", "--log", "error"]
    flags += [f"--nats-{which}-subscriptions={2 * INTEREST}" for which in ("max", "total")]
    flags += ["--cluster", f"nats://127.0.0.1:{hub_port}"]
    return Server([program, *off, *flags], port)


class Counted:
    """Counts the bytes that subscribers get."""

    def __init__(self, subscribers):
        self.poll, self.by_file = select.epoll(), {}
        for subscriber in subscribers:
            self.poll.register(subscriber, select.EPOLLIN)
            self.by_file[subscriber.fileno()] = [subscriber, 0]
        self.buffer = bytearray(1 << 18)

    def read_until(self, each_bytes):
        """Reads until each has got this many bytes in all."""
        behind = {number for number, (_, got) in self.by_file.items() if got < each_bytes}
        end = time.monotonic() + PATIENCE_S
        while behind:
            for number, _ in self.poll.poll(1):
                entry = self.by_file[number]
                entry[1] += entry[0].recv_into(self.buffer)
                if entry[1] >= each_bytes:
                    behind.discard(number)
            if time.monotonic() > end:
                sys.exit(f"{len(behind)} subscribers wait in vain")


def warm_up(publisher, subscribers, subject):
    """Until what is published gets to the other side, and nothing more is on its way."""
    for subscriber in subscribers:
        subscriber.settimeout(0.2)
    while True:
        publisher.sendall(b"PUB %s 1\r\nw\r\n" % subject)
        try:
            if all(subscriber.recv(65536) for subscriber in subscribers):
                break
        except TimeoutError:
            continue
    for subscriber in subscribers:
        subscriber.settimeout(0.5 if subscriber is subscribers[0] else 0.01)
        try:
            while subscriber.recv(65536):
                pass
        except TimeoutError:
            subscriber.settimeout(None)


def stream(source, target, leaf, subscribers, messages, payload):
    """Deliveries a second, and the leaf's microseconds for a delivery and for a message."""
    deliveries = messages * subscribers
    subscribers = [target.connect(b"SUB load 1") for _ in range(subscribers)]
    publisher = source.connect()
    warm_up(publisher, subscribers, b"load")
    publish = b"PUB load %d\r\n%s\r\n" % (len(payload), payload) * BATCH
    message_bytes = len(b"MSG load 1 %d\r\n%s\r\n" % (len(payload), payload))
    counted = Counted(subscribers)
    before_s, began = leaf.processor_s(), time.monotonic()
    for sent in range(BATCH, messages + 1, BATCH):
        publisher.sendall(publish)
        counted.read_until(max(0, sent - WINDOW) * message_bytes)
    counted.read_until(messages * message_bytes)
    took_s, used_s = time.monotonic() - began, leaf.processor_s() - before_s
    for client in [publisher, *subscribers]:
        client.close()
    return deliveries / took_s, used_s * 1e6 / deliveries, used_s * 1e6 / messages


def read_to(client, end):
    said = b""
    while end not in said:
        said += client.recv(4096)


def round_trip(hub_server, leaf):
    """The median of a request at the leaf that is answered at the hub, in microseconds."""
    asking, answering = leaf.connect(b"SUB inbox 1"), hub_server.connect(b"SUB service 1")
    warm_up(asking, [answering], b"service")
    warm_up(answering, [asking], b"inbox")
    times = []
    for _ in range(REQUESTS):
        began = time.perf_counter()
        asking.sendall(b"PUB service inbox 1\r\nq\r\n")
        read_to(answering, b"\r\nq\r\n")
        answering.sendall(b"PUB inbox 1\r\na\r\n")
        read_to(asking, b"\r\na\r\n")
        times.append((time.perf_counter() - began) * 1e6)
    asking.close()
    answering.close()
    return statistics.median(times)


def interest(hub_server, leaf):
    """Seconds until the hub knows it, the leaf's of processor time, and MiB of both."""
    there, here = hub_server.connect(), leaf.connect()
    before_mib, before_s = (hub_server.memory_mib(), leaf.memory_mib()), leaf.processor_s()
    began = time.monotonic()
    here.sendall(b"".join(b"SUB many.%d %d\r\n" % (number, number) for number in range(INTEREST)))
    here.settimeout(0.02)
    while True:
        there.sendall(b"PUB many.%d 1\r\nx\r\n" % (INTEREST - 1))
        try:
            if b"MSG" in here.recv(65536):
                break
        except TimeoutError:
            continue
    took_s = time.monotonic() - began
    after_mib = hub_server.memory_mib(), leaf.memory_mib()
    here.close()
    there.close()
    grown = [after - before for after, before in zip(after_mib, before_mib)]
    return [took_s, leaf.processor_s() - before_s, *grown]


def measure(kind, program, options):
    with tempfile.TemporaryDirectory(prefix="fanfare-race-") as folder:
        hub_server, leaf_port = hub(options.nats_server, folder)
        hub_server.connect().close()
        leaf = kind(program, folder, leaf_port)
        try:
            many, one = (options.subscribers, options.messages), (1, 10 * options.messages)
            payload = b"x" * options.bytes
            down = stream(hub_server, leaf, leaf, *many, payload)
            up = stream(leaf, hub_server, leaf, *many, payload)
            up_to_one = stream(leaf, hub_server, leaf, *one, payload)
            streams = [down[0], down[1], up[0], up[2], up_to_one[0], up_to_one[2]]
            times = [*streams, round_trip(hub_server, leaf)]
            return times + interest(hub_server, leaf)
        finally:
            leaf.end()
            hub_server.end()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("fanfare")
    parser.add_argument("nats_server")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--subscribers", type=int, default=100)
    parser.add_argument("--bytes", type=int, default=128)
    options = parser.parse_args()
    fanfare, nats_server = options.fanfare, options.nats_server
    leaves = {"Fanfare": (fanfare_leaf, fanfare), "nats-server": (nats_leaf, nats_server)}
    results = {name: [] for name in leaves}
    for _ in range(options.rounds):
        for name, (kind, program) in leaves.items():
            results[name].append(measure(kind, program, options))
    medians = [list(map(statistics.median, zip(*rounds))) for rounds in results.values()]
    print(f"{'':46}" + "".join(f"{name:>16}" for name in results))
    for title, values in zip(TITLES, zip(*medians)):
        print(f"{title:46}" + "".join(f"{value:>16,.2f}" for value in values))


main()
