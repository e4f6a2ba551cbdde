#!/usr/bin/env python3
"""How soon everybody is back in the chat after a restart. Needs nothing but Python's standard library.

Starts the server with a database, lets many clients talk in rooms, kills the server with SIGKILL, starts it again, and
measures until all are back in their rooms and have said something there.

    cargo build --release
    python3 tests/load/chat_restart.py target/release/fanfare --clients 1000 --rooms 20 --within 5
"""

import argparse
import asyncio
import sys
import tempfile
import time

from chat_load import Client, Failure, Server


async def come(server, number, rooms):
    client = Client(number, f"r{number % rooms}")
    while not client.has_begun.is_set():
        try:
            await server.connect(client)
        except OSError:
            await asyncio.sleep(0.01)
    client.say(f"/nick {client.name}\n/leave lobby\n/join {client.room}\n{time.time_ns()}\n".encode())
    await client.ping()
    return client


async def main(options):
    with tempfile.TemporaryDirectory() as directory:
        arguments = ["--data-dir", directory, "--chat-room-members", str(options.clients)]
        server = Server(options.binary, arguments)
        try:
            clients = await asyncio.gather(*(come(server, number, options.rooms) for number in range(options.clients)))
            clients[0].say(b"/sync\n")
            await clients[0].wait_for(lambda: b"* stored" in clients[0].notices, "what is said to be stored")
            server.process.kill()
            server.process.wait()
            for client in clients:
                client.transport.close()
            began = time.monotonic()
            server = Server(options.binary, arguments, address="%s:%d" % server.address)
            listening = time.monotonic() - began
            await asyncio.gather(*(come(server, number, options.rooms) for number in range(options.clients)))
            back = time.monotonic() - began
            print(f"listening after {listening:.2f} s, {options.clients} clients back in their rooms after {back:.2f} s")
            if options.within is not None and back > options.within:
                raise Failure(f"later than after {options.within} s")
        finally:
            server.process.kill()
            server.process.wait()


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", help="the server, for example target/release/fanfare")
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--rooms", type=int, default=20)
    parser.add_argument("--within", type=float, help="fail if it takes more seconds")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        asyncio.run(main(arguments()))
    except Failure as failure:
        print(f"FAILED: {failure}", file=sys.stderr)
        sys.exit(1)
