#!/usr/bin/env python3
"""Load on the push gateway, with every push accounted for. Needs nothing but Python's standard library.

Starts the server; many clients hold a connection, some never read, some send rubbish, some come back all the time. Another
process sends datagrams, one in ten of them to all, as fast as they are answered. Checks that nobody healthy misses anything,
that the counts of the answers agree with what was read, and that the server is as empty in the end as at its start. With
--stuck N it does the same without the stuck ones first, and compares how long a push to all takes. With --by socket all of
them come by WebSocket.

    cargo build --release
    python3 tests/load/push_load.py target/release/fanfare
"""

import argparse
import asyncio
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import time


class Failure(Exception):
    """A check that did not hold."""


PUSH = b'{"push":'
NUMBER = re.compile(rb'\{"(missed|expired)":(\d+)')


class Client(asyncio.Protocol):
    """A client that says hello and counts what it gets."""

    def __init__(self, user, seen=None):
        self.hello = {"user": user} if seen is None else {"user": user, "seen": seen}
        self.received = 0
        self.missed = 0
        self.is_closed = False
        self.greeted = asyncio.get_running_loop().create_future()
        self.rest = b""

    def connection_made(self, transport):
        self.transport = transport
        self.say({"hello": self.hello})

    def say(self, thing):
        self.transport.write(json.dumps(thing).encode() + b"\n")

    def connection_lost(self, _error):
        self.is_closed = True
        if not self.greeted.done():
            self.greeted.set_result(False)

    def data_received(self, data):
        data = self.rest + data
        end = data.rfind(b"\n") + 1
        lines, self.rest = data[:end], data[end:]
        self.take(lines)

    def take(self, lines):
        self.received += lines.count(PUSH)
        if b'{"missed"' in lines or b'{"expired"' in lines:
            self.missed += sum(int(count) for _, count in NUMBER.findall(lines))
        if b'{"ping":' in lines:
            self.say({"pong": 1})
        if lines and not self.greeted.done():
            self.greeted.set_result(True)


class SocketClient(Client):
    """The same by WebSocket."""

    HANDSHAKE = (b"GET /socket HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                 b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
    is_open = False

    def connection_made(self, transport):
        transport.write(self.HANDSHAKE)
        super().connection_made(transport)

    def say(self, thing):
        data = json.dumps(thing).encode()
        # A mask of zeros leaves the bytes as they are.
        self.transport.write(bytes([0x81, 0x80 | len(data), 0, 0, 0, 0]) + data)

    def data_received(self, data):
        data = self.rest + data
        if not self.is_open:
            _, self.is_open, rest = data.partition(b"\r\n\r\n")
            data = rest if self.is_open else data
        begin, objects = 0, []
        while self.is_open and len(data) >= begin + 2:
            length, payload = data[begin + 1], begin + 2
            if length == 126:
                length, payload = int.from_bytes(data[begin + 2:begin + 4], "big"), begin + 4
            if len(data) < payload + length:
                break
            objects.append(data[payload:payload + length])
            begin = payload + length
        self.rest = data[begin:]
        self.take(b"\n".join(objects))


class Server:
    """The server as a process of its own."""

    def __init__(self, binary, by, arguments):
        self.client = {"tcp": Client, "socket": SocketClient}[by]
        command = [binary, "--chat", "off", "--nats", "off", "--push", "127.0.0.1:0", "--push-udp", "127.0.0.1:0",
                   "--push-http", "127.0.0.1:0", *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.ports = {}
        while len(self.ports) < 3:
            words = self.process.stdout.readline().split()
            if words[:1] != ["listening"]:
                raise Failure(f"the server said {words}")
            self.ports[words[1]] = int(words[2].rsplit(":", 1)[1])

    def status(self, name):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) for line in status if line.startswith(name))

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def client_port(self):
        return self.ports["push-http" if self.client is SocketClient else "push"]

    async def connect(self, *hello):
        client = self.client(*hello)
        await asyncio.get_running_loop().create_connection(lambda: client, "127.0.0.1", self.client_port())
        return client

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=30)
        if self.process.returncode != 0:
            raise Failure(f"the server ended with {self.process.returncode}")


async def crowd(server, users):
    """So many clients, greeted."""
    clients = []
    for begin in range(0, len(users), 500):
        some = await asyncio.gather(*(server.connect(user) for user in users[begin:begin + 500]))
        if not all(await asyncio.gather(*(client.greeted for client in some))):
            raise Failure("a client was not greeted")
        clients += some
    return clients


async def rubbish(server, number):
    """Sends what is no object, for ever."""
    data = os.urandom(300) + b"\n" + b"{" * 5000 + b'\n{"push": 1}\n'
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.client_port())
        try:
            if server.client is SocketClient:
                writer.write(SocketClient.HANDSHAKE)
            while not reader.at_eof():
                writer.write(data * (1 + number % 3))
                await writer.drain()
                await asyncio.wait_for(reader.read(1 << 16), 1)
        except (OSError, asyncio.TimeoutError):
            pass
        finally:
            writer.transport.abort()
        await asyncio.sleep(0.05)


async def comes_back(server, number):
    """Says hello, reads a little, leaves, for ever."""
    while True:
        client = await server.connect(f"back{number}", 0)
        try:
            await client.greeted
            await asyncio.sleep(0.05)
        finally:
            client.transport.abort()


def send(options):
    """The process that sends: prints how many were reached and missed, and how long pushes to all took."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.connect(("127.0.0.1", options.udp_port))
        udp.settimeout(30)
        reached = missed = 0
        to_all = []
        for number in range(options.datagrams):
            is_to_all = number % 10 == 0
            target = "all" if is_to_all else f"user:{number % options.users}"
            began = time.perf_counter()
            udp.send(f"{target};reply push number {number:09}, of some length".encode())
            words = udp.recv(100).split()
            if words[0] != b"ok":
                raise Failure(f"answered {words}")
            if is_to_all:
                to_all.append(time.perf_counter() - began)
            reached += int(words[1])
            missed += int(words[2])
        print(json.dumps({"reached": reached, "missed": missed, "to_all": to_all}))


async def until(condition, what, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise Failure(f"waited {seconds} s for {what()}")
        await asyncio.sleep(0.02)


async def round_of(server, options, stuck):
    """One round; gives the median of the time that a push to all took, in seconds."""
    healthy = await crowd(server, [str(number) for number in range(options.clients - stuck)])
    stuck_clients = await crowd(server, [f"stuck{number}" for number in range(stuck)])
    for client in stuck_clients:
        client.transport.pause_reading()
    others = [asyncio.create_task(rubbish(server, number)) for number in range(options.rubbish)]
    others += [asyncio.create_task(comes_back(server, number)) for number in range(options.returning)]
    began = time.monotonic()
    command = [sys.executable, __file__, "--as-sender", "--udp-port", str(server.ports["push-udp"]),
               "--datagrams", str(options.datagrams), "--users", str(len(healthy)), options.binary]
    sender = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    output, _ = await sender.communicate()
    if sender.returncode != 0:
        raise Failure("the sender failed")
    sent = json.loads(output)
    count_to_all = len(sent["to_all"])
    expected = [count_to_all + len(range(user, options.datagrams, len(healthy))) for user in range(len(healthy))]
    for user in range(len(healthy)):
        expected[user] -= sum(1 for number in range(user, options.datagrams, len(healthy)) if number % 10 == 0)
    await until(lambda: all(client.received + client.missed >= due for client, due in zip(healthy, expected)),
                lambda: f"all pushes: {sum(client.received for client in healthy)} of {sum(expected)}")
    seconds = time.monotonic() - began
    received = sum(client.received for client in healthy)
    missed = sum(client.missed for client in healthy)
    median = statistics.median(sent["to_all"])
    peak_mib = server.status("VmHWM") / 1024
    print(f"  {len(healthy)} healthy, {stuck} stuck: {received} received, {missed} missed, of {sum(expected)}, in {seconds:.1f} s; "
          f"to all: median {median * 1e3:.2f} ms, worst {max(sent['to_all']) * 1e3:.1f} ms; "
          f"reached {sent['reached']}, missed {sent['missed']}; peak {peak_mib:.0f} MiB", flush=True)
    if missed or received != sum(expected):
        raise Failure("somebody healthy missed something, or got it twice")
    while others:
        # Again, as `wait_for` swallows a cancellation that comes together with what it waits for (Python up to 3.11).
        for task in others:
            task.cancel()
        _, others = await asyncio.wait(others, timeout=1)
    for client in healthy + stuck_clients:
        client.transport.abort()
    return median


async def main(options):
    server = Server(options.binary, options.by, ["--push-idle-ms", "60000", *options.server])
    try:
        # A few more for what the runtime opens when it is first needed.
        start = server.descriptors() + 4
        await round_of(server, argparse.Namespace(**{**vars(options), "datagrams": options.datagrams // 10}), 0)
        medians = {0: [], options.stuck: []}
        for _ in range(options.rounds):
            for stuck in medians:
                await until(lambda: server.descriptors() <= start, lambda: f"{server.descriptors()} descriptors to close")
                medians[stuck].append(await round_of(server, options, stuck))
        await until(lambda: server.descriptors() <= start, lambda: f"{server.descriptors()} descriptors to close")
        if options.stuck:
            change = (min(medians[options.stuck]) / min(medians[0]) - 1) * 100
            print(f"  {options.stuck} stuck clients change a push to all by {change:+.1f} %")
            if options.at_most_slower is not None and change > options.at_most_slower:
                raise Failure(f"slower by more than {options.at_most_slower} %")
        print(f"  memory: peak {server.status('VmHWM') / 1024:.0f} MiB, in the end {server.status('VmRSS') / 1024:.0f} MiB")
        server.end()
        print("all sums agree; nothing remains")
    finally:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", help="the server, for example target/release/fanfare")
    parser.add_argument("--by", choices=["tcp", "socket"], default="tcp", help="how clients come")
    parser.add_argument("--clients", type=int, default=5000)
    parser.add_argument("--stuck", type=int, default=100, help="how many of the clients never read")
    parser.add_argument("--rubbish", type=int, default=10, help="clients more that send rubbish")
    parser.add_argument("--returning", type=int, default=50, help="clients more that come and go all the time")
    parser.add_argument("--datagrams", type=int, default=20000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--at-most-slower", type=float, help="fail if stuck clients slow a push to all by more per cent")
    parser.add_argument("--as-sender", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--udp-port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--users", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--server", nargs=argparse.REMAINDER, default=[], help="further arguments for the server")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        parsed = arguments()
        send(parsed) if parsed.as_sender else asyncio.run(main(parsed))
    except Failure as failure:
        print(f"FAILED: {failure}", file=sys.stderr)
        sys.exit(1)
