#!/usr/bin/env python3
"""Many clients that connect, talk and leave; afterwards the chat server must be where it started.

Runs the cycles twice: the first half warms up caches and buffers, the second half must add nothing. Compares tasks,
subscriptions, publishers, open files and live memory (jemalloc's count), as /varz and /metrics say, and how much of
the memory went back to the system. Needs nothing but Python's standard library.

    cargo build --release
    python3 tests/load/cycles.py target/release/fanfare --cycles 100000
"""

import argparse
import asyncio
import json
import subprocess
import sys
import time
import urllib.request


class Server:
    """The server as a process of its own, seen through its admin listener."""

    def __init__(self, binary):
        command = [binary, "--chat", "127.0.0.1:0", "--chat-lines-per-second", "0", "--nats", "off", "--push", "off", "--push-udp", "off",
                   "--push-http", "off", "--admin", "127.0.0.1:0", "--log", "warn"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.chat = self.line("listening chat ")
        self.line("try it:")
        self.admin = self.line("listening admin ").rstrip("/")

    def line(self, begin):
        line = self.process.stdout.readline().strip()
        if not line.startswith(begin):
            sys.exit(f"the server said {line!r} instead of {begin!r}")
        return line[len(begin):]

    def get(self, path):
        with urllib.request.urlopen(self.admin + path, timeout=10) as answer:
            return answer.read().decode()

    def figures(self):
        varz = json.loads(self.get("/varz"))
        figures = {name: varz[name] for name in ("connections", "subscriptions", "publishers", "mem_allocated", "mem")}
        for line in self.get("/metrics").splitlines():
            name, _, value = line.rpartition(" ")
            if name in ("fanfare_process_open_fds", "fanfare_timers_armed", 'fanfare_tasks{name="chat connection"}'):
                figures[name] = float(value)
        figures.setdefault('fanfare_tasks{name="chat connection"}', 0.0)
        return figures

    def settled(self, seconds=30):
        """The figures when everybody has left and memory has stopped shrinking."""
        end = time.monotonic() + seconds
        before = self.figures()
        while time.monotonic() < end:
            time.sleep(1.5)
            now = self.figures()
            if now["connections"] == 0 and now["mem"] >= before["mem"] * 0.99:
                return now
            before = now
        sys.exit(f"not settled after {seconds} s: {before}")


async def visit(host, port, number):
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(f"/nick n{number}\nhello from {number}\n/join r{number % 50}\nagain\n/quit\n".encode())
    await reader.read()
    writer.close()


async def visits(address, count, at_once):
    host, port = address.rsplit(":", 1)
    numbers = iter(range(count))

    async def one_after_the_other():
        for number in numbers:
            await visit(host, int(port), number)

    await asyncio.gather(*(one_after_the_other() for _ in range(at_once)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary")
    parser.add_argument("--cycles", type=int, default=100_000)
    parser.add_argument("--at-once", type=int, default=50)
    options = parser.parse_args()
    server = Server(options.binary)
    try:
        rounds = []
        for name in ("first half", "second half"):
            began = time.monotonic()
            asyncio.run(visits(server.chat, options.cycles // 2, options.at_once))
            rounds.append(server.settled())
            print(f"{name}: {options.cycles // 2} cycles in {time.monotonic() - began:.0f} s: {rounds[-1]}")
    finally:
        server.process.terminate()
        server.process.wait(timeout=120)
    first, second = rounds
    for name in first:
        bound = 2 << 20 if name.startswith("mem") else 0
        if second[name] > first[name] + bound:
            sys.exit(f"FAILED: {name} went from {first[name]} to {second[name]}")
    print(f"ok: live memory {second['mem_allocated'] - first['mem_allocated']:+} bytes, all else as it was")


if __name__ == "__main__":
    main()
