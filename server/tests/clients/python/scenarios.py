"""What services do with nats-py, played against a server: `ok NAME` for each scenario.

scenarios.py ADDRESS ADDRESS_WITH_USERS ADDRESS_WITH_TLS CERTIFICATE_FILE

When it says `restart`, somebody has to end the server at ADDRESS and start it again there.
server/tests/nats/clients does all that.
"""

import asyncio
import importlib.util
import ssl
import sys

import nats
from nats.errors import MaxPayloadError, NoRespondersError

PATIENCE_S = 120
MIB = 1 << 20
plain_address, users_address, tls_address, certificate_file = sys.argv[1:5]


class Watch:
    """What befalls a client."""

    def __init__(self):
        self.errors = asyncio.Queue()
        self.disconnected = asyncio.Event()
        self.reconnected = asyncio.Event()

    def options(self):
        async def error(problem):
            self.errors.put_nowait(str(problem).lower())

        async def disconnected():
            self.disconnected.set()

        async def reconnected():
            self.reconnected.set()

        return {"error_cb": error, "disconnected_cb": disconnected, "reconnected_cb": reconnected}

    async def error_with(self, text):
        """Waits for an error that contains the text."""
        while text not in await in_time(self.errors.get()):
            pass


async def in_time(something):
    return await asyncio.wait_for(something, PATIENCE_S)


async def client(address=plain_address, watch=None, **options):
    watch = watch or Watch()
    patience = {"connect_timeout": PATIENCE_S, "drain_timeout": PATIENCE_S}
    return await nats.connect(
        f"nats://{address}",
        max_reconnect_attempts=-1,
        reconnect_time_wait=0.02,
        **patience,
        **watch.options(),
        **options,
    )


async def flush(nc):
    """nats-py sends the PING past what it has not sent yet; the second one comes behind that."""
    await nc.flush(PATIENCE_S)
    await nc.flush(PATIENCE_S)


async def next_of(subscription):
    return await subscription.next_msg(timeout=PATIENCE_S)


async def expect(subscription, *payloads):
    for payload in payloads:
        message = await next_of(subscription)
        assert message.data == payload, f"{message.data[:100]!r} instead of {payload[:100]!r}"


async def connect():
    nc = await client()
    assert nc.is_connected and nc.max_payload == MIB
    await flush(nc)
    await nc.close()


async def wildcards():
    nc = await client()
    star, arrow = await nc.subscribe("a.*.c"), await nc.subscribe("a.>")
    for subject in ["a", "a.b", "a.b.c", "b.b.c", "a.b.c.d"]:
        await nc.publish(subject, subject.encode())
    await expect(arrow, b"a.b", b"a.b.c", b"a.b.c.d")
    await nc.publish("a.last.c", b"last")
    await expect(star, b"a.b.c", b"last")
    await nc.close()


async def queue_group():
    count = 3_000
    received, busy = [], set()
    everything = asyncio.Event()
    members = [await client() for _ in range(3)]
    for number, member in enumerate(members):

        async def take(message, number=number):
            received.append(int(message.data))
            busy.add(number)
            if len(received) >= count:
                everything.set()

        await member.subscribe("work", queue="workers", cb=take)
        await flush(member)
    publisher = await client()
    for number in range(count):
        await publisher.publish("work", str(number).encode())
    await in_time(everything.wait())
    for nc in [publisher, *members]:
        await nc.drain()
    assert sorted(received) == list(range(count)), f"{len(received)} came, {len(set(received))} of them different"
    assert busy == {0, 1, 2}


async def request_reply():
    asking, answering = await client(), await client()

    async def double(message):
        await message.respond(str(2 * int(message.data)).encode())

    await answering.subscribe("double", cb=double)
    await flush(answering)
    for number in range(100):
        answer = await asking.request("double", str(number).encode(), timeout=PATIENCE_S)
        assert int(answer.data) == 2 * number
    await asking.close()
    await answering.close()


async def no_responders():
    nc = await client()
    for subject in ["nobody", "$JS.API.INFO"]:
        try:
            await nc.request(subject, b"x", timeout=PATIENCE_S)
        except NoRespondersError:
            continue
        raise AssertionError(f"somebody answered on {subject}")
    await nc.close()


async def headers():
    nc = await client()
    messages = await nc.subscribe("a")
    await nc.publish("a", b"payload", headers={"One": "1", "Two": "with: a colon"})
    message = await next_of(messages)
    assert message.data == b"payload" and message.headers == {"One": "1", "Two": "with: a colon"}
    await nc.close()


async def max_payload():
    nc = await client()
    try:
        await nc.publish("a", bytes(MIB + 1))
    except MaxPayloadError:
        await flush(nc)
        await nc.close()
        return
    raise AssertionError("the client takes more than the server said")


async def max_payload_violation():
    watch = Watch()
    nc = await client(watch=watch)
    # Below the client's own check. The server judges by this line alone, and for this client its word is the end.
    await nc._send_command(f"PUB a {MIB + 1}\r\n".encode())
    await nc._flush_pending()
    await in_time(watch.disconnected.wait())
    assert "maximum payload violation" in str(nc.last_error).lower() and not nc.is_connected
    await (await client()).close()


async def auto_unsubscribe():
    nc = await client()
    messages = []
    done = asyncio.Event()

    async def take(message):
        messages.append(message.data)

    limited = await nc.subscribe("a", cb=take)
    await limited.unsubscribe(limit=3)

    async def last(_message):
        done.set()

    await nc.subscribe("last", cb=last)
    for number in range(5):
        await nc.publish("a", str(number).encode())
    await nc.publish("last", b"")
    await in_time(done.wait())
    assert messages == [b"0", b"1", b"2"], messages
    await nc.close()


async def drain():
    publisher, draining = await client(), await client()
    messages = []

    async def take(message):
        messages.append(int(message.data))

    await draining.subscribe("a", cb=take)
    await flush(draining)
    for number in range(1_000):
        await publisher.publish("a", str(number).encode())
    await flush(publisher)
    # nats-py 2.16 itself loses what it has not handled when its drain begins, now and then: also with nats-server.
    while len(messages) < 1_000:
        await in_time(flush(draining))
    await in_time(draining.drain())
    assert messages == list(range(1_000)), f"{len(messages)} of 1000"
    assert draining.is_closed
    await publisher.publish("a", b"1000")
    await flush(publisher)
    assert len(messages) == 1_000
    await publisher.close()


async def large_payloads():
    nc = await client()
    messages = await nc.subscribe("a")
    for number in range(10):
        payload = bytes([number]) * MIB
        await nc.publish("a", payload)
        await expect(messages, payload)
    await nc.close()


async def order():
    count = 100_000
    reader, publisher = await client(), await client()
    everything = asyncio.Event()
    expected = 0

    async def take(message):
        nonlocal expected
        assert int(message.data) == expected, f"{message.data} instead of {expected}"
        expected += 1
        if expected == count:
            everything.set()

    await reader.subscribe("a", cb=take, pending_msgs_limit=-1, pending_bytes_limit=-1)
    await flush(reader)
    for number in range(count):
        await publisher.publish("a", str(number).encode())
    await in_time(everything.wait())
    await reader.close()
    await publisher.close()


async def reconnect():
    watch = Watch()
    nc = await client(watch=watch)
    messages = await nc.subscribe("a")
    await flush(nc)
    print("restart", flush=True)
    await in_time(watch.disconnected.wait())
    await in_time(watch.reconnected.wait())
    await nc.publish("a", b"after")
    await expect(messages, b"after")
    await nc.close()


async def wrong_password():
    for user, password in [("alice", "b"), ("nobody", "a")]:
        watch = Watch()
        try:
            await nats.connect(
                f"nats://{users_address}",
                user=user,
                password=password,
                allow_reconnect=False,
                connect_timeout=PATIENCE_S,
                **watch.options(),
            )
        except nats.errors.Error:
            await watch.error_with("authorization violation")
            continue
        raise AssertionError(f"{user} got in with {password}")
    nc = await client(users_address, user="alice", password="a")
    await flush(nc)
    await nc.close()


async def permission_violation():
    watch = Watch()
    nc = await client(users_address, watch, user="bob", password="b")
    await nc.publish("closed.a", b"x")
    await watch.error_with('permissions violation for publish to "closed.a"')
    await nc.subscribe("closed.>")
    await watch.error_with('permissions violation for subscription to "closed.>"')
    messages = await nc.subscribe("open.*")
    await nc.publish("open.a", b"x")
    await expect(messages, b"x")
    await nc.close()


async def accounts():
    """Subjects of one account are unseen by the others, and nobody there answers."""
    till = await client(users_address, user="till", password="t")
    alice = await client(users_address, user="alice", password="a")
    of_till, of_alice = await till.subscribe("orders"), await alice.subscribe("orders")
    await till.subscribe("service")
    await flush(till)
    await flush(alice)
    await till.publish("orders", b"till")
    await flush(till)
    await alice.publish("orders", b"alice")
    await expect(of_till, b"till")
    await expect(of_alice, b"alice")
    try:
        await alice.request("service", b"x", timeout=PATIENCE_S)
        raise AssertionError("a service of another account answered")
    except NoRespondersError:
        pass
    await till.close()
    await alice.close()


async def nkey():
    seed = "SUAAOBYHA4DQOBYHA4DQOBYHA4DQOBYHA4DQOBYHA4DQOBYHA4DQOBZ5FE"
    nc = await client(users_address, nkeys_seed_str=seed)
    messages = await nc.subscribe("a")
    await nc.publish("a", b"x")
    await expect(messages, b"x")
    await nc.close()


async def tls():
    nc = await client(tls_address, tls=ssl.create_default_context(cafile=certificate_file), tls_hostname="localhost")
    messages = await nc.subscribe("a")
    payload = b"p" * 500_000
    await nc.publish("a", payload)
    await expect(messages, payload)
    await nc.close()


SCENARIOS = [
    connect, wildcards, queue_group, request_reply, no_responders, headers, max_payload, max_payload_violation,
    auto_unsubscribe, drain, large_payloads, order, reconnect, wrong_password, permission_violation,
    accounts, nkey, tls,
]  # fmt: skip
if importlib.util.find_spec("nkeys") is None:
    # nats-py signs with the help of that package.
    SCENARIOS.remove(nkey)


async def main():
    for scenario in SCENARIOS:
        await scenario()
        print("ok", scenario.__name__, flush=True)


asyncio.run(main())
