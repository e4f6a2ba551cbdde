#!/usr/bin/env python3
"""Load on the push gateway, with every push accounted for. Needs nothing but Python's standard library.

Starts the server. Many clients hold a connection; some never read, and are full; in a process of their own, some send rubbish
and some come back all the time. Datagrams are sent, one in ten of them to all, as fast as the clients read. Checks:

- every healthy client gets each push that is for it, once and in order, and the answers' counts are the server's;
- throughout, live tasks are the connections and a constant;
- memory grows by no more than --print-bounds says;
- a push to all is with the last healthy client as soon as without any stuck ones, measured in turns;
- forged, replayed, cut, oversized and random datagrams change nothing but counters;
- in the end there are no more descriptors than at the start.

With --by socket all clients come by WebSocket.

All healthy clients are read by this one process, with epoll; it needs more of a core than the server does, so times to the
last client are in good part its own.

    cargo build --release
    python3 tests/load/push_load.py target/release/fanfare
"""

import argparse
import asyncio
import hashlib
import hmac
import json
import os
import random
import re
import resource
import select
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

SECRET = "a secret that only this script has"
NUMBER = re.compile(rb'^\{"push":\{"n":(\d+)', re.MULTILINE)
LOST = re.compile(rb'\{"(?:missed|expired)":(\d+)')
WINDOW = 16
# Pushes that clients may be behind with, on the average, before no more are sent: far fewer than a queue holds.
BEHIND = 100
# Tasks that are not connections: those that accept and read, the admin page that asks, pushes that wait for a moment.
TASKS = 64


class Failure(Exception):
    """A check that did not hold."""


class Client:
    """A connection that says hello and checks what it gets."""

    def __init__(self, port, user, groups=(), buffer_bytes=None):
        self.socket = socket.socket()
        if buffer_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        self.socket.connect(("127.0.0.1", port))
        self.begin()
        self.say({"hello": {"user": user, "groups": list(groups)}})
        self.socket.setblocking(False)
        self.own_target = b'"to":"user:%s"' % user.encode()
        self.user = user
        self.is_greeted = False
        self.to_all = self.own = self.lost = 0
        self.last = b""
        self.rest = b""

    def begin(self):
        pass

    def say(self, thing):
        self.socket.sendall(json.dumps(thing).encode() + b"\n")

    def lines(self, data):
        """The objects that are whole, each in a line."""
        if self.rest:
            data = self.rest + data
        end = data.rfind(b"\n") + 1
        self.rest = data[end:]
        return data[:end]

    def take(self, data):
        """Counts what came; gives how many pushes."""
        data = self.lines(data)
        if not self.is_greeted and data.startswith(b'{"hello"'):
            self.is_greeted = True
        numbers = NUMBER.findall(data)
        if b'"ping":' in data:
            self.say({"pong": 1})
        if not numbers:
            self.lost += sum(map(int, LOST.findall(data)))
            return 0
        # All have as many digits.
        if numbers[0] <= self.last or (len(numbers) > 1 and sorted(set(numbers)) != numbers):
            raise Failure(f"user {self.user} got a push twice or out of turn: {self.last} {numbers}")
        self.last = numbers[-1]
        to_all = data.count(b'"to":"all"')
        own = data.count(self.own_target)
        if to_all + own != len(numbers):
            raise Failure(f"user {self.user} got what is not for it: {data[:1000]}")
        if data.count(b"\n") != len(numbers):
            self.lost += sum(map(int, LOST.findall(data)))
        self.to_all += to_all
        self.own += own
        return len(numbers)


class SocketClient(Client):
    """The same by WebSocket."""

    HANDSHAKE = (b"GET /socket HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                 b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
    is_open = False

    def begin(self):
        self.socket.sendall(self.HANDSHAKE)

    def say(self, thing):
        self.socket.sendall(frame(json.dumps(thing).encode()))

    def lines(self, data):
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
            objects.append(b"\n")
            begin = payload + length
        self.rest = data[begin:]
        return b"".join(objects)


def frame(data):
    """A short text as a client sends it. A mask of zeros leaves the bytes as they are."""
    return bytes([0x81, 0x80 | len(data), 0, 0, 0, 0]) + data


class Crowd:
    """All clients that read, and the socket that pushes, in one loop."""

    def __init__(self, server):
        self.server = server
        self.epoll = select.epoll()
        self.clients = {}
        self.received = 0
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.connect(("127.0.0.1", server.ports["push-udp"]))
        self.udp.setblocking(False)
        self.epoll.register(self.udp, select.EPOLLIN)
        self.answers = []
        self.looked_at = 0

    def connect(self, users, **how):
        client = {"tcp": Client, "socket": SocketClient}[self.server.by]
        some = [client(self.server.client_port(), user, **how) for user in users]
        for client in some:
            self.clients[client.socket.fileno()] = client
            self.epoll.register(client.socket, select.EPOLLIN)
        self.until(lambda: all(client.is_greeted for client in some), "clients to be greeted")
        return some

    def stop_reading(self, clients):
        for client in clients:
            self.epoll.unregister(client.socket)
            del self.clients[client.socket.fileno()]

    def turn(self, seconds=0.05):
        """Reads what there is."""
        udp = self.udp.fileno()
        for fd, _ in self.epoll.poll(seconds, 1024):
            if fd == udp:
                self.answers.append(self.udp.recv(100).split())
                continue
            client = self.clients[fd]
            data = client.socket.recv(1 << 18)
            if not data:
                raise Failure(f"user {client.user} was sent away: {client.rest}")
            self.received += client.take(data)
        if time.monotonic() > self.looked_at + 1:
            self.looked_at = time.monotonic()
            self.server.check_tasks()

    def until(self, condition, what, seconds=120):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise Failure(f"waited {seconds} s for {what}")
            self.turn()

    def ask(self, datagram):
        """Pushes one; gives how many it reached and how many missed it."""
        self.udp.send(datagram)
        self.until(lambda: self.answers, "an answer")
        return counts(self.answers.pop())

    def push_many(self, datagrams, each_all):
        """Pushes so many, one in ten to all; gives the sums of the answers."""
        users = len(self.clients)
        sent = due = reached = missed = 0
        before = self.received
        while sent < datagrams or self.received < before + due:
            while sent < datagrams and sent < len(self.answers) + WINDOW and due < self.received - before + BEHIND * users:
                is_to_all = sent % each_all == 0
                target = "all" if is_to_all else f"user:{sent % users}"
                self.udp.send(f"{target};reply push number {sent:09}, of some length".encode())
                due += users if is_to_all else 1
                sent += 1
            self.turn()
        self.until(lambda: len(self.answers) >= datagrams, "the last answers")
        for words in self.answers:
            some_reached, some_missed = counts(words)
            reached += some_reached
            missed += some_missed
        self.answers = []
        return reached, missed

    def probes(self, count):
        """Pushes to all, one after the other: how long until the answer, and until the last client has it."""
        answered, everywhere = [], []
        for number in range(count):
            due = self.received + len(self.clients)
            began = time.perf_counter()
            self.udp.send(f"all;reply probe number {number:09}, of some length".encode())
            while self.received < due or not self.answers:
                self.turn()
                if self.answers and len(answered) == number:
                    answered.append(time.perf_counter() - began)
            everywhere.append(time.perf_counter() - began)
            counts(self.answers.pop())
        return answered, everywhere


def counts(words):
    if words[0] != b"ok":
        raise Failure(f"answered {words}")
    return int(words[1]), int(words[2])


class Server:
    """The server as a process of its own."""

    def __init__(self, binary, by, arguments):
        self.by = by
        off = ["--chat", "off", "--nats", "off"]
        free = [f"--{name}=127.0.0.1:0" for name in ("push", "push-udp", "push-http", "admin")]
        command = [binary, *off, *free, *arguments]
        bounds = subprocess.run([*command, "--print-bounds"], stdout=subprocess.PIPE, text=True, check=True).stdout
        self.bound_mib = float(re.search(r"^all\s+([\d.]+) MiB", bounds, re.MULTILINE).group(1))
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.ports = {}
        while "admin" not in self.ports:
            words = self.process.stdout.readline().split()
            if words[:1] != ["listening"]:
                raise Failure(f"the server said {words}")
            self.ports[words[1]] = int(words[2].rstrip("/").rsplit(":", 1)[1])
        self.most_tasks = self.most_connections = 0

    def client_port(self):
        return self.ports[{"tcp": "push", "socket": "push-http"}[self.by]]

    def ask(self, name, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[name]}{path}", timeout=120) as answer:
            return json.load(answer)

    def figures(self):
        return self.ask("push-http", "/figures")

    def clients(self):
        """Clients of the gateway. The requests of this script, which come and go, are none."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports['admin']}/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith('fanfare_connections{front_end="push"}'))

    def check_tasks(self):
        page = self.ask("admin", "/varz")
        tasks, connections = page["tasks"], page["connections"]
        self.most_tasks = max(self.most_tasks, tasks)
        self.most_connections = max(self.most_connections, connections)
        if tasks > connections + TASKS:
            # Connections are counted before tasks, and in between some may have come.
            connections = max(connections, self.ask("admin", "/varz")["connections"])
        if tasks > connections + TASKS:
            raise Failure(f"{tasks} tasks for {connections} connections")

    def status(self, name):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) for line in status if line.startswith(name)) / 1024

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as stat:
            ticks = stat.read().rsplit(")", 1)[1].split()[11:13]
        return [int(tick) / os.sysconf("SC_CLK_TCK") for tick in ticks]

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def dropped_by_kernel(self):
        """Datagrams for which the socket had no room."""
        port = f":{self.ports['push-udp']:04X}"
        with open("/proc/net/udp", encoding="ascii") as sockets:
            return sum(int(line.split()[-1]) for line in sockets if line.split()[1].endswith(port))

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=120)
        if self.process.returncode != 0:
            raise Failure(f"the server ended with {self.process.returncode}")


# ---- In a process of its own: those who disturb ----

async def rubbish(port, number, by):
    """Sends what is no object, for ever."""
    data = os.urandom(300) + b"\n" + b"{" * 5000 + b'\n{"push": 1}\n'
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            if by == "socket":
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


async def comes_back(port, number, by):
    """Says hello, reads a little, leaves, for ever."""
    hello = json.dumps({"hello": {"user": f"back{number}", "seen": 0}}).encode()
    hello = SocketClient.HANDSHAKE + frame(hello) if by == "socket" else hello + b"\n"
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(hello)
            await reader.readuntil(b'{"hello"')
            await asyncio.sleep(0.05)
        except (OSError, EOFError):
            pass
        finally:
            writer.transport.abort()


async def disturb(options):
    tasks = [rubbish(options.port, number, options.by) for number in range(options.rubbish)]
    tasks += [comes_back(options.port, number, options.by) for number in range(options.returning)]
    await asyncio.gather(*tasks)


# ---- Bad datagrams ----

def sign(key_id, secret, text):
    signed = f"{key_id} {int(time.time())} {os.urandom(8).hex()} ".encode() + text
    return b"signed " + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest().encode() + b" " + signed


def bad_datagrams(good, count):
    """Random, cut, changed, replayed, oversized and forged ones."""
    chance = random.Random(1)
    for number in range(count):
        kind = number % 6
        if kind == 0:
            yield bytes(chance.randrange(33, 256) for _ in range(chance.randrange(1, 300)))
        elif kind == 1:
            yield good[:chance.randrange(1, len(good) - 1)]
        elif kind == 2:
            at = chance.randrange(71, len(good))
            yield good[:at] + bytes([good[at] ^ 1]) + good[at + 1:]
        elif kind == 3:
            yield good
        elif kind == 4:
            yield b"all;reply " + bytes(chance.randrange(8 * 1024 - 9, 9000))
        else:
            yield sign("shop", "a guess at the secret", b"all;reply " + bytes(chance.randrange(8000)))


def check_bad_datagrams(crowd, count):
    """They change nothing but counters."""
    server = crowd.server
    good = sign("shop", SECRET, b"user:0;reply signed as it should be")
    due = crowd.received + 1
    crowd.ask(good)
    crowd.until(lambda: crowd.received == due, "the good one")
    crowd.until(lambda: server.figures()["answers"] == server.figures()["udp"]["accepted"], "answers to be counted")
    before, clients, received = server.figures(), server.clients(), crowd.received
    for number, datagram in enumerate(bad_datagrams(good, count), 1):
        crowd.udp.send(datagram)
        if number % 20 == 0 or number == count:
            # The kernel would drop what does not fit into its buffer.
            crowd.until(lambda: server.figures()["datagrams"] == before["datagrams"] + number, "datagrams to be read")
    after = server.figures()
    refused = {name: after[name] - before[name] for name in ("oversized", "unsigned", "forged", "stale", "replayed")}
    refused["malformed"] = after["udp"]["malformed"] - before["udp"]["malformed"]
    print(f"  bad datagrams: {refused}", flush=True)
    counters = {*refused, "datagrams", "udp"}
    same = all(after[name] == before[name] for name in after if name not in counters)
    same &= all(after["udp"][name] == before["udp"][name] for name in after["udp"] if name != "malformed")
    if sum(refused.values()) != count or not same or crowd.received != received or crowd.answers:
        raise Failure(f"bad datagrams changed something:\n{before}\n{after}\n{crowd.answers}")
    if server.clients() != clients:
        raise Failure("bad datagrams cost somebody the connection")


# ---- The whole ----

def jam(crowd, stuck):
    """So many clients that do not read, each of them full."""
    clients = crowd.connect([f"stuck{number}" for number in range(stuck)], groups=["stuck"], buffer_bytes=4096)
    crowd.stop_reading(clients)
    pushes = 0
    # Ever smaller ones, so that not even the next one fits.
    for size in (8000, 500, 1) if stuck else ():
        while crowd.ask(b"group:stuck;reply " + b"x" * size)[1] < stuck:
            pushes += 1
            if pushes > 20000:
                raise Failure("clients that do not read are never full")
    return clients


def close(crowd, clients, left):
    for client in clients:
        client.socket.close()
    crowd.until(lambda: crowd.server.ask("admin", "/varz")["connections"] <= left, "clients to be gone")


def compare(crowd, options):
    """How long a push to all takes without and with stuck clients, in turns; gives the difference in per cent,
    the median of the rounds."""
    answered, everywhere, ratios = {0: [], options.stuck: []}, {0: [], options.stuck: []}, []
    left = crowd.server.ask("admin", "/varz")["connections"]
    crowd.probes(options.probes)
    for number in range(options.rounds):
        medians = {}
        # Each is first as often as the other, so that whatever else the machine does meets both.
        for stuck in sorted(answered, reverse=number % 2 == 1):
            clients = jam(crowd, stuck)
            crowd.probes(3)
            some_answered, some_everywhere = crowd.probes(options.probes)
            answered[stuck] += some_answered
            everywhere[stuck] += some_everywhere
            medians[stuck] = statistics.median(some_everywhere)
            close(crowd, clients, left)
        ratios.append(medians[options.stuck] / medians[0])
    for stuck in answered:
        print(f"  a push to all, with {stuck:3} stuck: answered after {statistics.median(answered[stuck]) * 1e3:.2f} ms, "
              f"with the last of {len(crowd.clients)} after {statistics.median(everywhere[stuck]) * 1e3:.2f} ms "
              f"(medians of {len(answered[stuck])})", flush=True)
    return (statistics.median(ratios) - 1) * 100


def load(crowd, options):
    """All datagrams, with everybody who disturbs."""
    server = crowd.server
    stuck = jam(crowd, options.stuck)
    command = [sys.executable, __file__, "--as-noise", "--port", str(server.client_port()), "--by", server.by,
               "--rubbish", str(options.rubbish), "--returning", str(options.returning), options.binary]
    noise = subprocess.Popen(command)
    try:
        before, clients = server.figures(), list(crowd.clients.values())
        counted = [(client.to_all, client.own) for client in clients]
        began, own, of_server = time.monotonic(), os.times(), server.cpu_seconds()
        reached, missed = crowd.push_many(options.datagrams, 10)
        seconds = time.monotonic() - began
        user, system = (after - before for after, before in zip(server.cpu_seconds(), of_server))
        own_user, own_system = (after - before for after, before in zip(os.times()[:2], own[:2]))
        if noise.poll() is not None:
            raise Failure("those who disturb have ended")
    finally:
        noise.kill()
        noise.wait()
    after = server.figures()
    to_all = len(range(0, options.datagrams, 10))
    own = [0] * len(clients)
    for number in range(options.datagrams):
        own[number % len(clients)] += number % 10 != 0
    for client, (to_all_before, own_before), own_due in zip(clients, counted, own):
        if (client.to_all - to_all_before, client.own - own_before, client.lost) != (to_all, own_due, 0):
            raise Failure(f"user {client.user}: {client.to_all} to all, {client.own} own, {client.lost} lost of "
                          f"{to_all} and {own_due}")
    grown = (after["reached"] - before["reached"], after["missed"] - before["missed"])
    if grown != (reached, missed):
        raise Failure(f"the answers say {reached} reached and {missed} missed, the server {grown}")
    if after["udp"]["accepted"] - before["udp"]["accepted"] != options.datagrams or server.dropped_by_kernel():
        raise Failure("a datagram was not accepted")
    healthy = to_all * len(clients) + sum(own)
    print(f"  {options.datagrams} datagrams to {len(clients)} healthy, {options.stuck} stuck, {options.rubbish} who send rubbish, "
          f"{options.returning} who come and go: {healthy} deliveries to the healthy, none missing, {missed} missed by others, "
          f"in {seconds:.1f} s ({healthy / seconds:.0f}/s); processor: the server {user:.1f} s and the kernel for it {system:.1f} s, "
          f"this script {own_user:.1f} s and {own_system:.1f} s", flush=True)
    return stuck


def main(options):
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    connections = options.clients + options.rubbish + options.returning + 100
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as keys:
        keys.write(f'[[key]]\nid = "shop"\nsecret = "{SECRET}"\n')
        keys.flush()
        by_http = connections if options.by == "socket" else 10
        server = Server(options.binary, options.by, [
            "--push-udp-keys-file", keys.name,
            "--push-connections", str(connections), "--push-http-connections", str(by_http),
            # Those who are stuck are to stay, which they could not: they answer no ping and take nothing.
            "--push-idle-ms", "3600000", "--push-write-deadline-ms", "3600000", *options.server])
    try:
        server.figures()
        start_mib, start_descriptors = server.status("VmRSS"), server.descriptors()
        crowd = Crowd(server)
        clients = crowd.connect([str(number) for number in range(options.clients - options.stuck)])
        # Those who come by WebSocket are counted by two front-ends.
        left = server.ask("admin", "/varz")["connections"]
        change = compare(crowd, options) if options.stuck and options.probes else None
        stuck = load(crowd, options)
        close(crowd, stuck, left)
        check_bad_datagrams(crowd, options.bad)
        crowd.probes(1)
        peak_mib = server.status("VmHWM")
        print(f"  memory: {start_mib:.0f} MiB, at the peak {peak_mib:.0f} MiB, of {server.bound_mib:.0f} MiB that --print-bounds allows; "
              f"tasks: at the most {server.most_tasks} with {server.most_connections} connections", flush=True)
        if peak_mib - start_mib > server.bound_mib:
            raise Failure("that is more memory than --print-bounds says")
        crowd.stop_reading(clients)
        close(crowd, clients, 0)
        # A few more for what the runtime opens when it is first needed.
        crowd.until(lambda: server.descriptors() <= start_descriptors + 4, f"descriptors to close: {server.descriptors()}")
        server.check_tasks()
        server.end()
        if change is not None:
            print(f"  {options.stuck} stuck clients change a push to all by {change:+.1f} %")
            if options.at_most_slower is not None and change > options.at_most_slower:
                raise Failure(f"slower by more than {options.at_most_slower} %")
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
    parser.add_argument("--bad", type=int, default=10000, help="bad datagrams")
    parser.add_argument("--probes", type=int, default=20, help="pushes to all that are timed, in each round")
    parser.add_argument("--rounds", type=int, default=5, help="rounds without and with stuck clients")
    parser.add_argument("--at-most-slower", type=float, help="fail if stuck clients slow a push to all by more per cent")
    parser.add_argument("--as-noise", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--server", nargs=argparse.REMAINDER, default=[], help="further arguments for the server")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        parsed = arguments()
        asyncio.run(disturb(parsed)) if parsed.as_noise else main(parsed)
    except Failure as failure:
        print(f"FAILED: {failure}", file=sys.stderr)
        sys.exit(1)
