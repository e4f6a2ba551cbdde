#!/usr/bin/env python3
"""Readers of different speeds behind one NATS publisher: who gets everything, who is cut, and what
it costs the others.

    python3 server/tests/load/pacing.py --server fanfare=target/release/fanfare --server nats-server

Each row starts the server anew. One process publishes numbered messages as fast as the server takes
them, another reads for all subscribers: some at a steady rate, some that stop reading at once, some
as fast as they can. The table says what each kind got. Loopback only.
"""

import argparse
import multiprocessing
import re
import selectors
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


def connect(port):
    peer = socket.create_connection(("127.0.0.1", port), timeout=10)
    peer.sendall(b'CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\nPING\r\n')
    return peer


def until_pong(peer):
    heard = b""
    while b"PONG\r\n" not in heard:
        piece = peer.recv(65536)
        if not piece:
            raise ConnectionError("closed before PONG")
        heard += piece


def publish(port, messages, result):
    """Publishes, and tells how long the server took to take it all."""
    peer = connect(port)
    until_pong(peer)
    line = b"PUB %s %d\r\n" % (SUBJECT, PAYLOAD_BYTES)
    message = line + b"x" * PAYLOAD_BYTES + b"\r\n"
    block = message * BLOCK_MESSAGES
    began = time.monotonic()
    longest = 0.0
    peer.settimeout(ROW_SECONDS)
    try:
        for _ in range(messages // BLOCK_MESSAGES):
            before = time.monotonic()
            peer.sendall(block)
            longest = max(longest, time.monotonic() - before)
        peer.sendall(b"PING\r\n")
        until_pong(peer)
        result.put((time.monotonic() - began, longest))
    except OSError as error:
        result.put((f"publisher: {error}", longest))


class Reader:
    """One subscriber: `rate` bytes a second, None for as many as come, 0 for none at all."""

    def __init__(self, port, rate):
        self.rate = rate
        self.peer = connect(port)
        until_pong(self.peer)
        self.peer.sendall(b"SUB %s 1\r\nPING\r\n" % SUBJECT)
        until_pong(self.peer)
        self.peer.setblocking(False)
        self.bytes = 0
        self.tail = b""
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
        self.finished_at = now
        return True

    def why(self):
        found = re.search(rb"-ERR '([^']*)'", self.tail)
        return found.group(1).decode() if found else "closed"


def read_all(port, rates, messages, ready, result):
    """Reads for all subscribers in turn, until each has everything, has ended, or all is quiet."""
    readers = [Reader(port, rate) for rate in rates]
    head = b"MSG %s 1 %d\r\n" % (SUBJECT, PAYLOAD_BYTES)
    whole = messages * (len(head) + PAYLOAD_BYTES + 2)
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
    result.put([(r.rate, r.bytes / whole, r.end, (r.finished_at or began) - began) for r in readers])


def start(command):
    if "nats-server" in command[0]:
        command = command + ["-a", "127.0.0.1", "-p", "-1"]
    else:
        for listener in ["--nats", "--chat", "--admin"]:
            command = command + [listener, "127.0.0.1:0"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    for line in process.stderr:
        found = re.search(rb"Listening for client connections on 127\.0\.0\.1:(\d+)", line)
        if found:
            break
    port = int(found.group(1))
    drain = multiprocessing.Process(target=lambda: [None for _ in process.stderr], daemon=True)
    drain.start()
    return process, port, drain


def run_row(command, rates, megabytes):
    messages = megabytes * 1_000_000 // PAYLOAD_BYTES // BLOCK_MESSAGES * BLOCK_MESSAGES
    process, port, drain = start(command)
    try:
        published, read = multiprocessing.Queue(), multiprocessing.Queue()
        ready = multiprocessing.Event()
        reading = multiprocessing.Process(
            target=read_all, args=(port, rates, messages, ready, read)
        )
        reading.start()
        ready.wait(20)
        publishing = multiprocessing.Process(
            target=publish, args=(port, messages, published)
        )
        publishing.start()
        readers = read.get(timeout=ROW_SECONDS + 30)
        took, longest = published.get(timeout=ROW_SECONDS + 30)
        reading.join()
        publishing.join()
        return messages, took, longest, readers
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
    option("--megabytes", type=int, default=0, help="to publish; 0: some seconds' worth")
    option("--rate", action="append", type=float, help="MB/s of one reader; 0: stopped")
    option("--fast", type=int, action="append", help="fast readers beside it")
    options = parser.parse_args()
    print(
        f"{'server':<14}{'reader':<10}{'fast':>5}{'got %':>8}  {'ended':<15}{'pub MB/s':>9}"
        f"{'stall ms':>9}{'others %':>9}{'others MB/s':>12}",
        flush=True,
    )
    for fast in options.fast or [0, 10]:
        for rate in options.rate if options.rate is not None else [1, 20, 60, 200, 0]:
            for server in options.server:
                print_row(server, rate, fast, options.megabytes or (100 if rate == 1 else 300))


def print_row(server, rate, fast, megabytes):
    label, _, program = server.rpartition("=")
    rates = [int(rate * 1e6)] + [None] * fast
    messages, took, longest, readers = run_row(program.split(), rates, megabytes)
    volume = messages * PAYLOAD_BYTES / 1e6
    pace = f"{volume / took:.0f}" if isinstance(took, float) else took
    (own_rate, share, end, _), others = readers[0], readers[1:]
    least = f"{min(other[1] for other in others) * 100:.1f}" if others else "-"
    speed = f"{volume / max(other[3] for other in others):.0f}" if others else "-"
    print(
        f"{label or program:<14}{name(own_rate):<10}{fast:>5}{share * 100:>8.1f}  "
        f"{end or '-':<15}{pace:>9}{longest * 1000:>9.0f}{least:>9}{speed:>12}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
