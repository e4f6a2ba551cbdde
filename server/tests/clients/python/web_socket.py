"""What pages and services do with a WebSocket of the push gateway, with Python's websockets: `ok NAME` for each scenario.

web_socket.py HTTP_ADDRESS DATAGRAM_PORT

When it says `stop`, somebody has to end the HTTP server. server/tests/push/python.rs does all that.
"""

import asyncio
import functools
import json
import socket as sockets
import sys

import websockets
from websockets.exceptions import ConnectionClosed, InvalidStatus

PATIENCE_S = 120
address, datagram_port = sys.argv[1:3]
url = f"ws://{address}/socket"
connect = functools.partial(websockets.connect, open_timeout=PATIENCE_S, ping_interval=None)
datagrams = sockets.socket(sockets.AF_INET, sockets.SOCK_DGRAM)
datagrams.connect(("127.0.0.1", int(datagram_port)))
datagrams.settimeout(PATIENCE_S)


def push(datagram):
    datagrams.send(datagram.encode())
    return datagrams.recv(9000).decode()


async def in_time(something):
    return await asyncio.wait_for(something, PATIENCE_S)


async def object_of(socket):
    return json.loads(await in_time(socket.recv()))


async def ask(socket, thing):
    await socket.send(json.dumps(thing))
    return await object_of(socket)


async def hello(user, **more):
    socket = await connect(url)
    assert (await ask(socket, {"hello": {"user": user, **more}}))["hello"]["user"] == user
    assert await ask(socket, {"ping": 1}) == {"pong": 1}
    return socket


async def closes(socket):
    """The code with which the server closes."""
    try:
        while True:
            await in_time(socket.recv())
    except ConnectionClosed as closed:
        return closed.rcvd.code


async def pushes():
    async with await hello("1", groups=["g"]) as one, await hello("1") as other:
        # What was offered by default was not agreed on.
        assert one.protocol.extensions == []
        assert push("user:1;id=o-1;ack;reply h\u00e9llo") == "ok 2 0 o-1"
        got = await object_of(one)
        assert got == await object_of(other) and got["push"]["text"] == "h\u00e9llo", got
        await one.send(json.dumps({"ack": "o-1"}))
        assert push("group:g;reply g") == "ok 1 0"
        assert (await object_of(one))["push"]["to"] == "group:g"
        assert (await ask(other, {"join": "g"})) == {"joined": "g"}


async def comes_back():
    async with await hello("2") as socket:
        push("user:2;reply a")
        seen = (await object_of(socket))["push"]["n"]
    push("user:2;reply b")
    push("all;reply c")
    async with connect(url) as socket:
        await ask(socket, {"hello": {"user": "2", "seen": seen}})
        assert [(await object_of(socket))["push"]["text"] for _ in "bc"] == ["b", "c"]


async def pieces_and_pings():
    async with connect(url) as socket:
        await socket.send(['{"hel', 'lo": {"user": "\u00e9', '"}}'])
        assert (await object_of(socket))["hello"]["user"] == "\u00e9"
        for payload in [b"", b"x" * 125]:
            await in_time(await socket.ping(payload))


async def long_pushes():
    text = "\u20ac" * 2_700
    async with await hello("3") as socket:
        for _ in range(100):
            assert push(f"user:3;ttl=0;reply {text}") == "ok 1 0"
            assert (await object_of(socket))["push"]["text"] == text


async def mistakes():
    for wrong, code in [(b"{}", 1003), ("x" * 5_000, 1009), (["x"] * 5_000, 1009)]:
        socket = await hello("4")
        try:
            await socket.send(wrong)
        except ConnectionClosed:
            pass
        assert await closes(socket) == code
    socket = await hello("4")
    assert (await ask(socket, "rubbish"))["error"]["code"] == "object"
    await socket.close()
    assert socket.close_code == 1000


async def origins():
    for origin, allowed in [("http://evil.example", False), ("http://page.example", True), (f"http://{address}", True)]:
        try:
            async with connect(url, origin=origin):
                assert allowed
        except InvalidStatus as refused:
            assert not allowed and refused.response.status_code == 403


async def stops():
    socket = await hello("5")
    print("stop", flush=True)
    assert (await object_of(socket)) == {"bye": "the server is ending"}
    assert await closes(socket) == 1001


async def main():
    for scenario in [pushes, comes_back, pieces_and_pings, long_pushes, mistakes, origins, stops]:
        await scenario()
        print("ok", scenario.__name__, flush=True)


asyncio.run(main())
