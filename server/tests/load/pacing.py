#!/usr/bin/env python3
"""Readers of different speeds behind one publisher, by NATS, chat or push: who gets everything, who
is cut, and what it costs the others.

    python3 server/tests/load/pacing.py --server fanfare=target/release/fanfare --server nats-server
    python3 server/tests/load/pacing.py --server fanfare=target/release/fanfare --protocol chat

Each row starts the server anew. One process publishes numbered messages as fast as the server takes
them, another reads for all subscribers: some at a steady rate, some that stop reading at once, some
as fast as they can. The table says what each kind got. Loopback only.
"""

import argparse
import json
import multiprocessing
import re
import socket
import subprocess
import sys
import time

PAYLOAD_BYTES = 1024
BLOCK_MESSAGES = 64
SUBJECT = b"pace"
READ_BYTES = 256 * 1024
# A row that takes longer has hung.
ROW_SECONDS = 120
# A publisher that nobody paces is done long before; then its readers may still have bytes to come.
QUIET_SECONDS = 2.0


class Nats:
    """What a reader and a publisher say, and what they hear."""

    listeners, arguments = ["nats"], []
    hello = b'CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\n'
    read = hello + b"SUB %s 1\r\nPING\r\n" % SUBJECT
    publish = hello + b"PING\r\n"
    reads = begun = ended = b"PONG\r\n"
    message_bytes = len(b"MSG %s 1 %d\r\n" % (SUBJECT, PAYLOAD_BYTES)) + PAYLOAD_BYTES + 2
    message = b"PUB %s %d\r\n" % (SUBJECT, PAYLOAD_BYTES) + b"x" * PAYLOAD_BYTES + b"\r\n"
    block, taken = message * BLOCK_MESSAGES, None
    end = b"PING\r\n"
    # It tells nobody how many messages are missing, and asks seldom whether a reader is there.
    missed = None
    why = re.compile(rb"-ERR '([^']*)'")


class Chat:
    listeners, arguments = ["chat"], ["--chat-lines-per-second", "0"]
    read = b"/leave lobby\n/join %s\n/ping\n" % SUBJECT
    publish = b"/nick p\n" + read
    reads = begun = ended = b"* pong\n"
    message_bytes = len(b"[%s] p: \n" % SUBJECT) + PAYLOAD_BYTES
    block, taken = (b"x" * PAYLOAD_BYTES + b"\n") * BLOCK_MESSAGES, None
    end = b"/ping\n"
    missed = re.compile(rb"\* you missed (\d+) line")
    why = re.compile(rb"\n[!*] ([^\n]*)\n$")


class Push:
    """The publisher comes by HTTP, and waits for the receipts of each batch."""

    listeners, arguments = ["push", "push-http"], ["--push-http-per-second", "1000000"]
    read = b'{"hello":{"user":"1"}}\n{"ping":1}\n'
    reads = b'{"pong":1}\n'
    publish = end = b"GET /figures HTTP/1.1\r\nHost: localhost\r\n\r\n"
    begun = ended = b"}"
    form = b'{"push":{"n":1795239049597001,"id":"1795239049597001","to":"all","text":""}}\n'
    message_bytes = len(form) + PAYLOAD_BYTES
    body = json.dumps([{"to": "all", "text": "x" * PAYLOAD_BYTES}] * BLOCK_MESSAGES).encode()
    head = b"POST /push HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
    block, taken = head + body, b"\n]"
    missed = re.compile(rb'\{"missed":(\d+)\}')
    why = re.compile(rb'\{"bye":"([^"]*)')


PROTOCOLS = {"nats": Nats, "chat": Chat, "push": Push}
PING = re.compile(rb'^\{"ping":\d+\}$', re.MULTILINE)


def connect(port, says, hears):
    peer = socket.create_connection(("127.0.0.1", port), timeout=10)
    peer.sendall(says)
    until(peer, hears)
    return peer


def until(peer, answer):
    heard = b""
    while answer not in heard:
        piece = peer.recv(65536)
        if not piece:
            raise ConnectionError(f"closed before {answer}")
        heard = heard[-len(answer):] + piece


def publish(protocol, port, messages, result):
    """Publishes, and tells how long the server took to take it all."""
    peer = connect(port, protocol.publish, protocol.begun)
    began = time.monotonic()
    longest = 0.0
    peer.settimeout(ROW_SECONDS)
    try:
        for _ in range(messages // BLOCK_MESSAGES):
            before = time.monotonic()
            peer.sendall(protocol.block)
            if protocol.taken:
                until(peer, protocol.taken)
            longest = max(longest, time.monotonic() - before)
        peer.sendall(protocol.end)
        until(peer, protocol.ended)
        result.put((time.monotonic() - began, longest))
    except OSError as error:
        result.put((f"publisher: {error}", longest))


class Reader:
    """One subscriber: `rate` bytes a second, None for as many as come, 0 for none at all."""

    def __init__(self, protocol, port, rate):
        self.protocol = protocol
        self.rate = rate
        self.peer = connect(port, protocol.read, protocol.reads)
        self.peer.setblocking(False)
        self.bytes = 0
        self.missed = 0
        self.rest = self.tail = b""
        self.end = None
        self.finished_at = None
        self.began = None

    def may_read(self, now):
        if self.end is not None or self.rate == 0:
            return 0
        if self.rate is None:
            return READ_BYTES
        if self.began is None:
            self.began = now
        return min(READ_BYTES, int((now - self.began) * self.rate) - self.bytes)

    def read(self, now, wanted):
        try:
            piece = self.peer.recv(wanted)
        except BlockingIOError:
            return False
        except OSError as error:
            self.end = str(error)
            return False
        if not piece:
            self.end = self.why()
            return False
        self.bytes += len(piece)
        self.tail = (self.tail + piece)[-4096:]
        if self.protocol.missed:
            self.take_notices(piece)
        self.finished_at = now
        return True

    def take_notices(self, piece):
        lines, _, self.rest = (self.rest + piece).rpartition(b"\n")
        # An expression takes ten times as long as to look for a word.
        if b"missed" in lines:
            self.missed += sum(int(number) for number in self.protocol.missed.findall(lines))
        if b"ping" in lines:
            for ping in PING.findall(lines):
                self.peer.sendall(ping.replace(b"ping", b"pong") + b"\n")

    def why(self):
        found = self.protocol.why.search(self.tail)
        return found.group(1).decode() if found else "closed"


def read_all(protocol, port, rates, messages, ready, result):
    """Reads for all subscribers in turn, until each has everything, has ended, or all is quiet."""
    readers = [Reader(protocol, port, rate) for rate in rates]
    whole = messages * protocol.message_bytes
    ready.set()
    quiet_since = began = time.monotonic()
    while True:
        now = time.monotonic()
        progress = False
        for reader in readers:
            wanted = reader.may_read(now)
            if wanted > 0:
                progress |= reader.read(now, wanted)
        if progress:
            quiet_since = now
        open_readers = [r for r in readers if r.end is None and r.rate != 0 and r.bytes < whole]
        if not open_readers or now - quiet_since > QUIET_SECONDS or now - began > ROW_SECONDS:
            break
        if not progress:
            time.sleep(0.0005)
    for reader in readers:
        if reader.rate == 0:
            reader.peer.setblocking(False)
            drained = b""
            try:
                while piece := reader.peer.recv(1 << 20):
                    drained = (drained + piece)[-4096:]
                reader.tail = drained
                reader.end = reader.why()
            except BlockingIOError:
                reader.end = None
            except OSError as error:
                reader.end = str(error)
    got = [(r.bytes / whole, r.missed / messages, r.end) for r in readers]
    result.put((got, [(r.finished_at or began) - began for r in readers]))


def start(command, protocol):
    """Gives the process, and the ports of a reader and of a publisher."""
    if "nats-server" in command[0]:
        command = command + ["-a", "127.0.0.1", "-p", "-1"]
        pattern = rb"Listening for client connections on 127\.0\.0\.1:(\d+)"
    else:
        for listener in ["nats", "chat", "admin", "push", "push-udp", "push-http"]:
            address = "127.0.0.1:0" if listener in protocol.listeners else "off"
            command = command + [f"--{listener}", address]
        command += protocol.arguments
        pattern = rb"^listening \S+ \S*127\.0\.0\.1:(\d+)"
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    ports = []
    for line in process.stdout:
        ports += [int(port) for port in re.findall(pattern, line)]
        if len(ports) == len(protocol.listeners):
            break
    drain = multiprocessing.Process(target=lambda: [None for _ in process.stdout], daemon=True)
    drain.start()
    return process, ports[0], ports[-1], drain


def run_row(command, protocol, rates, megabytes):
    messages = megabytes * 1_000_000 // PAYLOAD_BYTES // BLOCK_MESSAGES * BLOCK_MESSAGES
    process, read_port, publish_port, drain = start(command, protocol)
    try:
        published, read = multiprocessing.Queue(), multiprocessing.Queue()
        ready = multiprocessing.Event()
        reading = multiprocessing.Process(
            target=read_all, args=(protocol, read_port, rates, messages, ready, read)
        )
        reading.start()
        ready.wait(20)
        publishing = multiprocessing.Process(
            target=publish, args=(protocol, publish_port, messages, published)
        )
        publishing.start()
        readers, finished = read.get(timeout=ROW_SECONDS + 30)
        took, longest = published.get(timeout=ROW_SECONDS + 30)
        reading.join()
        publishing.join()
        return messages, took, longest, readers, finished
    finally:
        process.terminate()
        process.wait()
        drain.terminate()


def name(rate):
    return {None: "fast", 0: "stopped"}.get(rate) or f"{rate / 1e6:g} MB/s"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    option = parser.add_argument
    option("--server", action="append", required=True, help="NAME=PROGRAM, or PROGRAM")
    option("--protocol", choices=PROTOCOLS, default="nats")
    option("--megabytes", type=int, default=0, help="to publish; 0: some seconds' worth")
    option("--rate", action="append", type=float, help="MB/s of one reader; 0: stopped")
    option("--fast", type=int, action="append", help="fast readers beside it")
    options = parser.parse_args()
    print(
        f"{'server':<14}{'reader':<10}{'fast':>5}{'got %':>8}{'missed %':>9}  {'ended':<15}"
        f"{'pub MB/s':>9}{'stall ms':>9}{'others %':>9}{'others MB/s':>12}",
        flush=True,
    )
    for fast in options.fast or [0, 10]:
        for rate in options.rate if options.rate is not None else [1, 20, 60, 200, 0]:
            for server in options.server:
                megabytes = options.megabytes or (100 if rate == 1 else 300)
                print_row(server, PROTOCOLS[options.protocol], rate, fast, megabytes)


def print_row(server, protocol, rate, fast, megabytes):
    label, _, program = server.rpartition("=")
    rates = [int(rate * 1e6)] + [None] * fast
    messages, took, longest, readers, finished = run_row(
        program.split(), protocol, rates, megabytes
    )
    volume = messages * PAYLOAD_BYTES / 1e6
    pace = f"{volume / took:.0f}" if isinstance(took, float) else took
    share, missed, end = readers[0]
    least = f"{min(got for got, _, _ in readers[1:]) * 100:.1f}" if fast else "-"
    speed = f"{volume / max(finished[1:]):.0f}" if fast else "-"
    print(
        f"{label or program:<14}{name(rates[0]):<10}{fast:>5}{share * 100:>8.1f}"
        f"{missed * 100:>9.1f}  {end or '-':<15}{pace:>9}{longest * 1000:>9.0f}{least:>9}"
        f"{speed:>12}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
