#!/usr/bin/env python3
"""Load on the chat server, with every line accounted for. Needs nothing but Python's standard library.

Starts the server, lets many clients talk in rooms at full speed, and checks that every line reaches every other member
exactly once and in its sender's order, or is reported as missed, and that the sums agree. With --web-sockets N, N of
them come by WebSocket and the others by TCP. With --stuck N it does the same with N clients that never read, and compares
what the others got per second. In the end everybody leaves, and the server must be as empty as at its start.

    cargo build --release
    python3 tests/load/chat_load.py target/release/fanfare --clients 200 --rooms 10 --lines 1000 --stuck 20
    python3 tests/load/chat_load.py target/release/fanfare --web-sockets 100
"""

import argparse
import asyncio
import signal
import subprocess
import sys
import time


class Failure(Exception):
    """A check that did not hold."""


class Client(asyncio.Protocol):
    """One person in one room."""

    hears_itself = False

    def __init__(self, number, room):
        self.name = f"c{number}"
        self.room = room
        self.prefix = f"[{room}] ".encode()
        self.received = 0
        self.missed = 0
        self.gaps = 0
        self.expected = None
        self.last_from = {}
        self.rest = b""
        self.problem = None
        self.pongs = 0
        self.notices = []
        self.has_begun = asyncio.Event()
        self.changed = asyncio.Event()
        self.can_write = asyncio.Event()
        self.can_write.set()
        self.closed = False
        self.finished_at = None

    # What asyncio calls.

    def connection_made(self, transport):
        self.transport = transport
        self.has_begun.set()

    def connection_lost(self, _error):
        self.closed = True
        self.changed.set()
        self.can_write.set()

    def pause_writing(self):
        self.can_write.clear()

    def resume_writing(self):
        self.can_write.set()

    def data_received(self, data):
        lines = (self.rest + data).split(b"\n")
        self.rest = lines.pop()
        prefix, last_from = self.prefix, self.last_from
        for line in lines:
            if line.startswith(prefix):
                _room, sender, number = line.split(b" ", 3)[:3]
                number = int(number)
                if number <= last_from.get(sender, -1):
                    self.problem = f"{self.name}: {line!r} after {last_from[sender]}"
                last_from[sender] = number
                self.received += 1
            else:
                self.other_line(line)
        if self.expected is not None and self.received + self.missed >= self.expected:
            self.finished_at = self.finished_at or time.monotonic()
            self.changed.set()

    # Ours.

    def say(self, lines):
        self.transport.write(lines)

    def other_line(self, line):
        if line.startswith(b"* you missed "):
            self.missed += int(line.split()[3])
            self.gaps += 1
        elif line == b"* pong":
            self.pongs += 1
            self.changed.set()
        elif line.startswith(b"! "):
            self.problem = f"{self.name}: {line!r}"
        else:
            self.notices.append(line)

    async def wait_for(self, condition, what, seconds=120):
        end = time.monotonic() + seconds
        while not condition():
            if self.problem:
                raise Failure(self.problem)
            if self.closed:
                raise Failure(f"{self.name}: the server closed the connection")
            self.changed.clear()
            try:
                await asyncio.wait_for(self.changed.wait(), max(0.01, min(1, end - time.monotonic())))
            except asyncio.TimeoutError:
                if time.monotonic() > end:
                    raise Failure(f"{self.name}: waited {seconds} s for {what}: received {self.received}, "
                                  f"missed {self.missed}, of {self.expected}") from None

    async def ping(self):
        awaited = self.pongs + 1
        self.say(b"/ping\n")
        await self.wait_for(lambda: self.pongs >= awaited, "a pong")

    async def talk(self, lines):
        for begin in range(0, lines, 50):
            await self.can_write.wait()
            if self.closed:
                return
            self.say(b"".join(b"%d\n" % number for number in range(begin, min(begin + 50, lines))))
            await asyncio.sleep(0)


class WebClient(Client):
    """One person whose lines come and go in the frames of a WebSocket, the person's own too."""

    hears_itself = True

    def __init__(self, number, room):
        super().__init__(number, room)
        self.frames = b""
        self.has_upgraded = False

    def connection_made(self, transport):
        self.transport = transport
        transport.write(b"GET /chat/socket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                        b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")

    def data_received(self, data):
        self.frames += data
        if not self.has_upgraded:
            head, end, rest = self.frames.partition(b"\r\n\r\n")
            if not end:
                return
            if not head.startswith(b"HTTP/1.1 101 "):
                self.problem = f"{self.name}: {head!r}"
            self.has_upgraded, self.frames = True, rest
            self.say(b"/time off\n")
            self.has_begun.set()
        lines, at = [], 0
        while len(self.frames) - at >= 2:
            size, head = self.frames[at + 1], 2
            if size >= 126:
                head = 4 if size == 126 else 10
                size = int.from_bytes(self.frames[at + 2:at + head], "big")
            if len(self.frames) - at < head + size:
                break
            payload, opcode = self.frames[at + head:at + head + size], self.frames[at] & 15
            if opcode == 9:
                self.send_frame(0x8a, payload)
            elif opcode <= 2:
                lines.append(payload)
            at += head + size
        self.frames = self.frames[at:]
        super().data_received(b"".join(lines))

    def say(self, lines):
        self.send_frame(0x82, lines)

    def send_frame(self, kind, payload):
        size = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + len(payload).to_bytes(2, "big")
        # Masked with zeros, which leaves it as it is.
        self.transport.write(bytes([kind]) + size + bytes(4) + payload)


class Server:
    """The server as a process of its own."""

    def __init__(self, binary, arguments, web_sockets=0, address="127.0.0.1:0"):
        http = "127.0.0.1:0" if web_sockets else "off"
        command = [binary, "--chat", address, "--chat-lines-per-second", "0", "--chat-replay-lines", "0",
                   "--admin", "off", "--nats", "off", "--push", "off", "--push-udp", "off", "--push-http", http, *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.address = self.listening("chat")
        self.web_address = self.listening("push-http") if web_sockets else None

    def listening(self, name):
        words = self.process.stdout.readline().split()
        if words[:2] != ["listening", name]:
            raise Failure(f"the server said {words}")
        host, port = words[2].rsplit(":", 1)
        return host, int(port)

    def rss_kib(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        _output, _ = self.process.communicate(timeout=120)
        if self.process.returncode != 0:
            raise Failure(f"the server ended with {self.process.returncode}")

    async def connect(self, client):
        loop = asyncio.get_running_loop()
        address = self.web_address if isinstance(client, WebClient) else self.address
        await loop.create_connection(lambda: client, *address)
        await client.has_begun.wait()
        return client


async def settle(server, clients):
    """Everybody in his room under his name, and all notices of that read."""
    for client in clients:
        await server.connect(client)
        client.say(f"/nick {client.name}\n/leave lobby\n/join {client.room}\n".encode())
    for _ in range(2):
        await asyncio.gather(*(client.ping() for client in clients))


async def round_of(server, options, stuck):
    """One round; gives deliveries per second to those who read, and how much they missed."""
    # Each room has some of both.
    step = options.rooms * max(1, options.clients // max(1, options.web_sockets))
    clients = [(WebClient if number % step < options.rooms and options.web_sockets else Client)
               (number, f"r{number % options.rooms}") for number in range(options.clients)]
    await settle(server, clients)
    stuck_clients, readers = clients[:stuck], clients[stuck:]
    for client in stuck_clients:
        client.transport.pause_reading()
    members = {}
    for client in clients:
        members[client.room] = members.get(client.room, 0) + 1
    for client in readers:
        speakers = members[client.room] - (0 if client.hears_itself else 1)
        client.expected = speakers * options.lines
    began = time.monotonic()
    await asyncio.gather(*(client.talk(options.lines) for client in clients))
    await asyncio.gather(*(client.wait_for(lambda client=client: client.finished_at, "all lines") for client in readers))
    seconds = max(client.finished_at for client in readers) - began
    for client in readers:
        if client.received + client.missed != client.expected:
            raise Failure(f"{client.name}: {client.received} received and {client.missed} missed are not {client.expected}")
    received = sum(client.received for client in readers)
    missed = sum(client.missed for client in readers)
    expected = sum(client.expected for client in readers)
    print(f"  {len(readers)} readers, {stuck} stuck: {received} received + {missed} reported missed = {expected}, "
          f"in {seconds:.2f} s: {received / seconds:,.0f} deliveries/s", flush=True)
    for client in clients:
        client.transport.abort() if client in stuck_clients else client.transport.close()
    return received / seconds, missed


async def nothing_remains(server):
    """Only the one who asks is there, and only the lobby."""
    observer = await server.connect(Client(0, "lobby"))
    for _ in range(2_000):
        observer.notices.clear()
        observer.say(b"/rooms\n/who\n")
        await observer.ping()
        if b"* 1 room:" in observer.notices and b"* lobby (1)" in observer.notices:
            observer.transport.close()
            return
        await asyncio.sleep(0.05)
    raise Failure(f"still there: {observer.notices}")


async def main(options):
    server = Server(options.binary, options.server, options.web_sockets)
    try:
        # One small round first: what the allocator and the runtime take once is no leak.
        warm = argparse.Namespace(**{**vars(options), "lines": max(1, options.lines // 10)})
        await round_of(server, warm, 0)
        await nothing_remains(server)
        start_kib = server.rss_kib()
        free, stuck = [], []
        for _ in range(options.rounds):
            free.append((await round_of(server, options, 0))[0])
            await nothing_remains(server)
            if options.stuck:
                stuck.append((await round_of(server, options, options.stuck))[0])
                await nothing_remains(server)
        end_kib = server.rss_kib()
        print(f"  memory: {start_kib} KiB before, {end_kib} KiB after")
        if options.stuck:
            # Best of each: a busy machine only ever slows a round down.
            change = (max(stuck) / max(free) - 1) * 100
            print(f"  {options.stuck} stuck readers change the others' throughput by {change:+.1f} %")
            if options.at_most_slower is not None and change < -options.at_most_slower:
                raise Failure(f"slower by more than {options.at_most_slower} %")
        if options.at_most_mib is not None and end_kib - start_kib > options.at_most_mib * 1024:
            raise Failure(f"memory grew by {end_kib - start_kib} KiB")
        server.end()
        print("all sums agree; nothing remains")
    finally:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", help="the server, for example target/release/fanfare")
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--rooms", type=int, default=10)
    parser.add_argument("--lines", type=int, default=1000, help="lines that each client says")
    parser.add_argument("--web-sockets", type=int, default=0, help="about how many of the clients come by WebSocket")
    parser.add_argument("--stuck", type=int, default=0, help="how many of the clients never read")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--at-most-slower", type=float, help="fail if stuck readers cost the others more per cent")
    parser.add_argument("--at-most-mib", type=float, help="fail if memory grew by more")
    parser.add_argument("--server", nargs=argparse.REMAINDER, default=[], help="further arguments for the server")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        asyncio.run(main(arguments()))
    except Failure as failure:
        print(f"FAILED: {failure}", file=sys.stderr)
        sys.exit(1)
