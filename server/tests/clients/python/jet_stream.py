"""JetStream and key-value stores of a cluster with nats-py, through a Fanfare that has joined it.

jet_stream.py ADDRESS
"""

import asyncio
import sys

import nats
from nats.js.api import ConsumerConfig

PATIENCE_S = 120


async def streams(js):
    await js.add_stream(name="ORDERS", subjects=["orders.*"])
    for number in range(100):
        ack = await js.publish(f"orders.{number % 3}", f"{number}".encode(), timeout=PATIENCE_S)
        assert ack.stream == "ORDERS" and ack.seq == number + 1

    pushed = await js.subscribe("orders.*", durable="push", manual_ack=True)
    for number in range(100):
        message = await pushed.next_msg(timeout=PATIENCE_S)
        assert message.data == f"{number}".encode() and message.subject == f"orders.{number % 3}"
        await message.ack_sync(timeout=PATIENCE_S)
    await pushed.unsubscribe()

    pulled = await js.pull_subscribe("orders.*", durable="pull")
    seen = 0
    while seen < 100:
        for message in await pulled.fetch(10, timeout=PATIENCE_S):
            assert message.data == f"{seen}".encode()
            await message.ack()
            seen += 1

    ordered = await js.subscribe("orders.1", ordered_consumer=True)
    assert (await ordered.next_msg(timeout=PATIENCE_S)).data == b"1"
    await ordered.unsubscribe()
    info = await js.add_consumer("ORDERS", ConsumerConfig(durable_name="made"))
    assert info.num_pending == 100


async def key_value(js):
    store = await js.create_key_value(bucket="settings")
    assert await store.put("color", b"red") == 1
    assert (await store.get("color")).value == b"red"
    watcher = await store.watchall()
    assert (await update(watcher)).value == b"red"
    await store.put("color", b"blue")
    assert (await update(watcher)).value == b"blue"
    await store.delete("color")
    assert (await update(watcher)).operation == "DEL"
    await watcher.stop()


async def update(watcher):
    """The next change. nats-py marks the end of what was there by None, and does so too early if
    the last of it comes while it asks how much is left."""
    while (entry := await watcher.updates(timeout=PATIENCE_S)) is None:
        pass
    return entry


async def main():
    nc = await nats.connect(f"nats://{sys.argv[1]}", connect_timeout=PATIENCE_S)
    js = nc.jetstream(timeout=PATIENCE_S)
    await streams(js)
    await key_value(js)
    await nc.close()


asyncio.run(asyncio.wait_for(main(), 4 * PATIENCE_S))
