#!/usr/bin/env python3
"""Three Fanfares on a cluster of three hubs: who got what, message by message, while hubs are killed.

cluster.py FANFARE HUB [--messages N] [--over S] [--kill-every S] [--ports FROM]

FANFARE is the binary, HUB is nats-server. Each Fanfare has publishers, plain subscribers and
members of two queue groups. Without kills nothing may be lost and nothing may come twice. With
kills nothing may come twice to a group or a subscriber, and whatever a subscriber lacks has been
told: to itself in a header, or in the figures of the publisher's server.

A million messages, and a hub killed every ten seconds:

    cluster.py target/release/fanfare nats-server --messages 333334 --over 90 --kill-every 10
"""

import argparse
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

from ports import free_ports

# Thirty clients.
SERVERS, PLAIN, MEMBERS = 3, 3, 3
GROUPS = ["g1", "g2"]
PATIENCE_S, QUIET_S = 120, 10
RESTART_S, PIECES_A_SECOND = 1, 40
CONNECT = b'CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true}\r\n'
MESSAGE = re.compile(rb"(H?)MSG load (\d+) (?:(\d+) )?(\d+)\r\n")


# Below the ports that the system gives to connections, which come and go meanwhile.
PORTS = iter(())


class Hub:
    def __init__(self, program, number, routes):
        self.program, self.number, self.routes = program, number, routes
        self.client, self.leaf, self.route = next(PORTS), next(PORTS), next(PORTS)
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
        self.nats, self.admin = next(PORTS), next(PORTS)
        # Each has its own hub, and the others to turn to.
        in_turn = hubs[number:] + hubs[:number]
        address = ",".join(f"nats://127.0.0.1:{hub.leaf}" for hub in in_turn)
        off = [flag for listener in ("chat", "push", "push-udp", "push-http") for flag in (f"--{listener}", "off")]
        flags = ["--nats", f"127.0.0.1:{self.nats}", "--admin", f"127.0.0.1:{self.admin}", "--log", "error"]
        self.process = subprocess.Popen([program, *off, *flags, "--cluster", address], stdout=subprocess.DEVNULL)

    def figures(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        found = [line.removeprefix("fanfare_cluster_") for line in lines if line.startswith("fanfare_cluster_")]
        return {name.split("{")[0]: int(float(value)) for name, value in (line.split(" ") for line in found)}


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

    def __init__(self, server, group, messages):
        super().__init__(server)
        self.group, self.told, self.warm = group, 0, set()
        # How often each number came, of each publisher.
        self.got, self.total = [bytearray(messages) for _ in range(SERVERS)], 0
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
                self.got[publisher][number] += 1
                self.total += 1
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
    for subscriber in subscribers:
        subscriber.warm.clear()
    of_groups = [[subscriber for subscriber in subscribers if subscriber.group == group] for group in GROUPS]

    def everybody_hears_everybody():
        for publisher in publishers:
            publisher.publish([-1])
        time.sleep(0.1)
        heard = [subscriber.warm for subscriber in plain]
        heard += [set().union(*(member.warm for member in members)) for members in of_groups]
        return all(len(warm) == len(publishers) for warm in heard)

    wait_until("everybody hears everybody", everybody_hears_everybody)


class Killer(threading.Thread):
    """Kills one hub after the other and starts each again, by the clock and not by what was published."""

    def __init__(self, hubs, every_s):
        super().__init__(daemon=True)
        self.hubs, self.every_s, self.kills, self.over = hubs, every_s, 0, threading.Event()

    def run(self):
        while not self.over.wait(self.every_s):
            hub = self.hubs[self.kills % len(self.hubs)]
            hub.kill()
            self.kills += 1
            time.sleep(RESTART_S)
            hub.start()

    def end(self):
        self.over.set()
        self.join()


def publish_all(publishers, messages, over_s, killer):
    pieces = max(1, int(over_s * PIECES_A_SECOND))
    began = time.monotonic()
    for piece in range(pieces):
        if piece + 1 == pieces and killer:
            wait_until("a hub is killed", lambda: killer.kills)
        for publisher in publishers:
            publisher.publish(range(piece * messages // pieces, (piece + 1) * messages // pieces))
        time.sleep(max(0, began + (piece + 1) / PIECES_A_SECOND - time.monotonic()))


def settle(subscribers, deliveries):
    """Until there are as many as there may be, and a second more, or until nothing has come for so long that nothing
    more will."""

    def total():
        return sum(subscriber.total for subscriber in subscribers)

    before, since = total(), time.monotonic()
    while time.monotonic() - since < (1 if before >= deliveries else QUIET_S):
        time.sleep(0.1)
        if (now := total()) != before:
            before, since = now, time.monotonic()


def judge(publishers, subscribers, kills, figures):
    problems, lost = [], 0
    for index, subscriber in enumerate(it for it in subscribers if not it.group):
        for publisher in publishers:
            got = subscriber.got[publisher.number]
            if max(got) > 1:
                problems.append(f"plain subscriber {index} got a message twice")
            missing = got.count(0)
            lost += missing
            if missing and not subscriber.told and not figures[publisher.server]["ends_total"]:
                problems.append(f"plain subscriber {index} lacks {missing} of {publisher.number}: nobody told")
    for group in GROUPS:
        members = [subscriber for subscriber in subscribers if subscriber.group == group]
        for publisher in publishers:
            got = list(map(sum, zip(*(member.got[publisher.number] for member in members))))
            if max(got) > 1:
                problems.append(f"group {group} got a message twice")
            lost += got.count(0)
    if lost and not kills:
        problems.append(f"{lost} lost although nothing was killed")
    return problems, lost


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("fanfare")
    parser.add_argument("hub")
    parser.add_argument("--messages", type=int, default=50_000, help="of each publisher")
    parser.add_argument("--over", type=float, default=2, help="the seconds over which they are published")
    parser.add_argument("--kill-every", type=float, help="kill a hub after so many seconds, and again")
    parser.add_argument("--ports", type=int, default=25_000, help="take the free ports from here on")
    options = parser.parse_args()
    global PORTS
    PORTS = free_ports(options.ports)
    hubs = []
    hubs.extend(Hub(options.hub, number, hubs) for number in range(SERVERS))
    servers = []
    try:
        for hub in hubs:
            hub.start()
        servers = [Fanfare(options.fanfare, number, hubs) for number in range(SERVERS)]
        groups = [None] * PLAIN + GROUPS * MEMBERS
        messages = options.messages
        subscribers = [Subscriber(server, group, messages) for server in servers for group in groups]
        publishers = [Publisher(server, number) for number, server in enumerate(servers)]
        warm_up(publishers, subscribers)
        began = time.monotonic()
        killer = options.kill_every and Killer(hubs, options.kill_every)
        if killer:
            killer.start()
        publish_all(publishers, messages, options.over, killer)
        if killer:
            killer.end()
        kills = killer.kills if killer else 0
        copies = len(servers) * PLAIN + len(GROUPS)
        # Links are made again by then, and whoever was to be told of a gap has been told.
        warm_up(publishers, subscribers)
        settle(subscribers, messages * len(publishers) * copies)
        took_s = time.monotonic() - began
        figures = {server: server.figures() for server in servers}
        problems, lost = judge(publishers, subscribers, kills, figures)
        deliveries = sum(subscriber.total for subscriber in subscribers)
        print(
            f"{messages * len(publishers)} messages, {deliveries} deliveries in {took_s:.0f} s, "
            f"{kills} kills: {lost} lost"
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
