#!/usr/bin/env python3
"""Three Fanfares on a cluster of three hubs: who got what, message by message, while hubs are killed.

cluster.py FANFARE HUB [--messages N] [--kills K] [--ports FROM]

FANFARE is the binary, HUB is nats-server. Each Fanfare has publishers, plain subscribers and
members of two queue groups. Without kills nothing may be lost and nothing may come twice. With
kills nothing may come twice to a group or a subscriber, and whatever a subscriber lacks has been
told: to itself in a header, or in the figures of the publisher's server.
"""

import argparse
import collections
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

SERVERS, PUBLISHERS, PLAIN, MEMBERS = 3, 1, 2, 2
GROUPS = ["g1", "g2"]
PATIENCE_S = 60
CONNECT = b'CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true}\r\n'
MESSAGE = re.compile(rb"(H?)MSG load (\d+) (?:(\d+) )?(\d+)\r\n")


# Below the ports that the system gives to connections, which come and go meanwhile.
PORTS = iter(())


def free_port():
    """The next free port, never one that it has given before: a hub starts again on its own."""
    for port in PORTS:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    sys.exit("no port is free")


class Hub:
    def __init__(self, program, number, routes):
        self.program, self.number, self.routes = program, number, routes
        self.client, self.leaf, self.route = free_port(), free_port(), free_port()
        self.folder = tempfile.mkdtemp(prefix="fanfare-hub-")

    def start(self):
        routes = ", ".join(f'"nats://127.0.0.1:{hub.route}"' for hub in self.routes if hub is not self)
        conf = os.path.join(self.folder, "hub.conf")
        with open(conf, "w") as file:
            file.write(
                f'listen: "127.0.0.1:{self.client}"\nserver_name: hub{self.number}\n'
                f'leafnodes {{ listen: "127.0.0.1:{self.leaf}" }}\n'
                f'cluster {{ name: c, listen: "127.0.0.1:{self.route}", routes: [{routes}] }}\n'
            )
        self.process = subprocess.Popen([self.program, "-c", conf], stderr=subprocess.DEVNULL)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


class Fanfare:
    def __init__(self, program, number, hubs):
        self.nats, self.admin = free_port(), free_port()
        # Each has its own hub, and the others to turn to.
        in_turn = hubs[number:] + hubs[:number]
        address = ",".join(f"nats://127.0.0.1:{hub.leaf}" for hub in in_turn)
        off = [flag for door in ("chat", "push", "push-udp", "push-http") for flag in (f"--{door}", "off")]
        flags = ["--nats", f"127.0.0.1:{self.nats}", "--admin", f"127.0.0.1:{self.admin}", "--log", "error"]
        self.process = subprocess.Popen([program, *off, *flags, "--cluster", address], stdout=subprocess.DEVNULL)

    def figures(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        found = [line.split(" ") for line in lines if line.startswith("fanfare_cluster_")]
        return {name.removeprefix("fanfare_cluster_"): int(float(value)) for name, value in found}


class Client:
    def __init__(self, server):
        self.server = server
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                self.socket = socket.create_connection(("127.0.0.1", server.nats))
                break
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)
        self.socket.sendall(CONNECT)


class Subscriber(Client):
    """Counts what it gets of each publisher: how often each number, and how often it was told of a gap."""

    def __init__(self, server, group):
        super().__init__(server)
        self.group, self.got, self.told, self.warm = group, collections.Counter(), 0, set()
        self.socket.sendall(f"SUB load {group} 1\r\n".encode() if group else b"SUB load 1\r\n")
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        kept = b""
        while received := self.socket.recv(1 << 18):
            kept = self.take(kept + received)

    def take(self, data):
        at = 0
        while (end := data.find(b"\r\n", at)) >= 0:
            line = MESSAGE.match(data, at)
            if not line:
                if data.startswith(b"PING", at):
                    self.socket.sendall(b"PONG\r\n")
                at = end + 2
                continue
            size, header = int(line[4]), int(line[3] or 0)
            body = line.end()
            if len(data) < body + size + 2:
                break
            self.told += b"Fanfare-Missed" in data[body : body + header]
            publisher, number = map(int, data[body + header : body + size].split(b" "))
            if number < 0:
                self.warm.add(publisher)
            else:
                self.got[publisher, number] += 1
            at = body + size + 2
        return data[at:]


class Publisher(Client):
    def __init__(self, server, number):
        super().__init__(server)
        self.number = number

    def publish(self, numbers):
        payloads = (f"{self.number} {number}" for number in numbers)
        self.socket.sendall("".join(f"PUB load {len(text)}\r\n{text}\r\n" for text in payloads).encode())


def wait_until(what, condition, patience_s=PATIENCE_S):
    end = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"waited in vain for: {what}")
        time.sleep(0.05)


def warm_up(publishers, subscribers):
    plain = [subscriber for subscriber in subscribers if not subscriber.group]

    def everybody_hears_everybody():
        for publisher in publishers:
            publisher.publish([-1])
        time.sleep(0.1)
        return all(len(subscriber.warm) == len(publishers) for subscriber in plain)

    wait_until("everybody hears everybody", everybody_hears_everybody)
    # Groups are known everywhere by then, or somewhat later.
    time.sleep(1)


def publish_all(publishers, messages, kills, hubs):
    """In pieces, so slowly that there is time to kill hubs."""
    pieces = range(0, messages, 500)
    kill_before = {pieces[(turn + 1) * len(pieces) // (kills + 1)]: turn for turn in range(kills)}
    for start in pieces:
        if (turn := kill_before.get(start)) is not None:
            hub = hubs[turn % len(hubs)]
            hub.kill()
            threading.Timer(1, hub.start).start()
        for publisher in publishers:
            publisher.publish(range(start, min(start + 500, messages)))
        time.sleep(0.02)


def settle(subscribers):
    def total():
        return sum(len(subscriber.got) for subscriber in subscribers)

    before, since = total(), time.monotonic()
    while time.monotonic() - since < 3:
        time.sleep(0.1)
        if (now := total()) != before:
            before, since = now, time.monotonic()


def judge(publishers, subscribers, messages, kills, figures):
    problems, lost = [], 0
    wanted = {(publisher.number, number) for publisher in publishers for number in range(messages)}
    of_server = {publisher.number: publisher.server for publisher in publishers}
    for index, subscriber in enumerate(it for it in subscribers if not it.group):
        if any(times > 1 for times in subscriber.got.values()):
            problems.append(f"plain subscriber {index} got a message twice")
        missing = collections.Counter(publisher for publisher, _ in wanted - subscriber.got.keys())
        lost += missing.total()
        for publisher, count in missing.items():
            server = of_server[publisher]
            if not subscriber.told and not figures[server]["ends_total"]:
                problems.append(f"plain subscriber {index} lacks {count} of publisher {publisher}: nobody told")
    for group in GROUPS:
        got = collections.Counter()
        for subscriber in subscribers:
            if subscriber.group == group:
                got += subscriber.got
        if any(times > 1 for times in got.values()):
            problems.append(f"group {group} got a message twice")
        missing = wanted - got.keys()
        lost += len(missing)
        if missing and not kills:
            problems.append(f"group {group} lacks {len(missing)}")
    if lost and not kills:
        problems.append(f"{lost} lost although nothing was killed")
    return problems, lost


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("fanfare")
    parser.add_argument("hub")
    parser.add_argument("--messages", type=int, default=50_000, help="of each publisher")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--ports", type=int, default=25_000, help="take the free ports from here on")
    options = parser.parse_args()
    global PORTS
    PORTS = iter(range(options.ports, 32_000))
    hubs = []
    hubs.extend(Hub(options.hub, number, hubs) for number in range(SERVERS))
    servers = []
    try:
        for hub in hubs:
            hub.start()
        servers = [Fanfare(options.fanfare, number, hubs) for number in range(SERVERS)]
        groups = [None] * PLAIN + GROUPS * MEMBERS
        subscribers = [Subscriber(server, group) for server in servers for group in groups]
        publishers = [Publisher(server, number) for number, server in enumerate(servers * PUBLISHERS)]
        warm_up(publishers, subscribers)
        began = time.monotonic()
        publish_all(publishers, options.messages, options.kills, hubs)
        settle(subscribers)
        took_s = time.monotonic() - began
        figures = {server: server.figures() for server in servers}
        problems, lost = judge(publishers, subscribers, options.messages, options.kills, figures)
        deliveries = sum(len(subscriber.got) for subscriber in subscribers)
        print(
            f"{options.messages * len(publishers)} messages, {deliveries} deliveries in {took_s:.0f} s, "
            f"{options.kills} kills: {lost} lost"
        )
        for server in servers:
            shown = ["joins_total", "sent_total", "confirmed_total", "unconfirmed_total", "dropped_total"]
            print("  " + ", ".join(f"{name} {figures[server][name]}" for name in shown))
        print("  told of a gap: " + " ".join(str(subscriber.told) for subscriber in subscribers))
        for problem in problems:
            print(f"PROBLEM: {problem}")
        sys.exit(bool(problems))
    finally:
        for server in servers:
            server.process.kill()
        for hub in hubs:
            hub.kill()


main()
