// What services do with the npm client `nats`, played against a server: `ok NAME` for each scenario.
//
// node scenarios.js ADDRESS ADDRESS_WITH_USERS ADDRESS_WITH_TLS CERTIFICATE_FILE
//
// When it says `restart`, somebody has to end the server at ADDRESS and start it again there.
// server/tests/nats/clients does all that.
"use strict";

const assert = require("node:assert/strict");
const nats = require("nats");

const PATIENCE_MS = 120_000;
const MIB = 1 << 20;
// Of the user in `with_users`, made for these tests.
const usersSeed = "SUAAOBYHA4DQOBYHA4DQOBYHA4DQOBYHA4DQOBYHA4DQOBYHA4DQOBZ5FE";
const [plainAddress, usersAddress, tlsAddress, certificateFile] = process.argv.slice(2);

function inTime(what, something) {
  let timer;
  const tooLate = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited in vain until ${what}`)), PATIENCE_MS);
  });
  return Promise.race([something, tooLate]).finally(() => clearTimeout(timer));
}

function client(options = {}) {
  return nats.connect({
    servers: plainAddress,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 20,
    reconnectJitter: 0,
    ...options,
  });
}

// The client allows one iterator for each subscription.
function listen(nc, subject) {
  return nc.subscribe(subject)[Symbol.asyncIterator]();
}

async function next(messages) {
  const { value, done } = await inTime("a message comes", messages.next());
  assert(!done, "the subscription ended");
  return value;
}

async function expect(messages, ...payloads) {
  for (const payload of payloads) assert.equal((await next(messages)).string(), payload);
}

// Resolves with the first status of the client that `isIt` likes.
async function status(what, nc, isIt) {
  const looking = (async () => {
    for await (const status of nc.status()) if (isIt(status)) return status;
    throw new Error(`the client ended before ${what}`);
  })();
  return inTime(what, looking);
}

const scenarios = {
  async connect() {
    const nc = await client();
    assert.equal(nc.info.max_payload, MIB);
    assert.equal(nc.info.headers, true);
    await nc.flush();
    await nc.close();
  },

  async wildcards() {
    const nc = await client();
    const [star, arrow] = [listen(nc, "a.*.c"), listen(nc, "a.>")];
    for (const subject of ["a", "a.b", "a.b.c", "b.b.c", "a.b.c.d"]) nc.publish(subject, subject);
    await expect(arrow, "a.b", "a.b.c", "a.b.c.d");
    nc.publish("a.last.c", "last");
    await expect(star, "a.b.c", "last");
    await nc.close();
  },

  async queue_group() {
    const count = 3_000;
    const [received, busy] = [[], new Set()];
    const members = [await client(), await client(), await client()];
    let everything;
    const all = new Promise((resolve) => (everything = resolve));
    for (const [number, member] of members.entries()) {
      member.subscribe("work", {
        queue: "workers",
        callback: (_error, message) => {
          received.push(Number(message.string()));
          busy.add(number);
          if (received.length >= count) everything();
        },
      });
      await member.flush();
    }
    const publisher = await client();
    for (let number = 0; number < count; number++) publisher.publish("work", String(number));
    await inTime("each message has come", all);
    for (const nc of [publisher, ...members]) await nc.drain();
    const sorted = received.sort((one, other) => one - other);
    assert.deepEqual(sorted, Array.from({ length: count }, (_, number) => number));
    assert.equal(busy.size, 3);
  },

  async request_reply() {
    const [asking, answering] = [await client(), await client()];
    answering.subscribe("double", {
      callback: (_error, message) => message.respond(String(2 * Number(message.string()))),
    });
    await answering.flush();
    for (let number = 0; number < 100; number++) {
      const answer = await asking.request("double", String(number), { timeout: PATIENCE_MS });
      assert.equal(answer.string(), String(2 * number));
    }
    await asking.close();
    await answering.close();
  },

  async no_responders() {
    const nc = await client();
    for (const subject of ["nobody", "$JS.API.INFO"]) {
      await assert.rejects(nc.request(subject, "x", { timeout: PATIENCE_MS }), { code: nats.ErrorCode.NoResponders });
    }
    await nc.close();
  },

  async headers() {
    const nc = await client();
    const messages = listen(nc, "a");
    const headers = nats.headers();
    headers.set("One", "1");
    headers.append("Many", "first");
    headers.append("Many", "second, with: a colon");
    nc.publish("a", "payload", { headers });
    const message = await next(messages);
    assert.equal(message.string(), "payload");
    assert.equal(message.headers.get("One"), "1");
    assert.deepEqual(message.headers.values("Many"), ["first", "second, with: a colon"]);
    await nc.close();
  },

  async max_payload() {
    const nc = await client();
    assert.throws(() => nc.publish("a", new Uint8Array(MIB + 1)), { code: nats.ErrorCode.MaxPayloadExceeded });
    await nc.flush();
    await nc.close();
  },

  async max_payload_violation() {
    const nc = await client();
    const reconnected = status("it is connected again", nc, ({ type }) => type === nats.Events.Reconnect);
    // The client is made to believe that more is allowed. The server ends the connection.
    nc.info.max_payload = 2 * MIB;
    nc.publish("a", new Uint8Array(MIB + 1));
    await reconnected;
    await nc.flush();
    await nc.close();
  },

  async auto_unsubscribe() {
    const nc = await client();
    const messages = nc.subscribe("a");
    messages.unsubscribe(3);
    for (let number = 0; number < 5; number++) nc.publish("a", String(number));
    const received = [];
    const reading = (async () => {
      for await (const message of messages) received.push(message.string());
    })();
    await inTime("the subscription ends", reading);
    await nc.flush();
    assert.deepEqual(received, ["0", "1", "2"]);
    await nc.close();
  },

  async drain() {
    const [publisher, draining] = [await client(), await client()];
    const received = [];
    draining.subscribe("a", { callback: (_error, message) => received.push(Number(message.string())) });
    await draining.flush();
    for (let number = 0; number < 1_000; number++) publisher.publish("a", String(number));
    await publisher.flush();
    await inTime("it is drained", draining.drain());
    assert.deepEqual(received, Array.from({ length: 1_000 }, (_, number) => number));
    assert(draining.isClosed());
    await publisher.close();
  },

  async large_payloads() {
    const nc = await client();
    const messages = listen(nc, "a");
    for (let number = 0; number < 10; number++) {
      const payload = new Uint8Array(MIB).fill(number);
      nc.publish("a", payload);
      assert((await next(messages)).data.every((byte) => byte === number));
    }
    await nc.close();
  },

  async order() {
    const count = 100_000;
    const [reader, publisher] = [await client(), await client()];
    let expected = 0;
    const reading = new Promise((resolve, reject) => {
      reader.subscribe("a", {
        callback: (_error, message) => {
          if (message.string() !== String(expected)) reject(new Error(`${message.string()}, not ${expected}`));
          if (++expected === count) resolve();
        },
      });
    });
    await reader.flush();
    for (let number = 0; number < count; number++) {
      publisher.publish("a", String(number));
      if (number % 1_000 === 999) await publisher.flush();
    }
    await inTime("everything has come", reading);
    await reader.close();
    await publisher.close();
  },

  async reconnect() {
    const nc = await client();
    const messages = listen(nc, "a");
    await nc.flush();
    const reconnected = status("it is connected again", nc, ({ type }) => type === nats.Events.Reconnect);
    console.log("restart");
    await reconnected;
    nc.publish("a", "after");
    await expect(messages, "after");
    await nc.close();
  },

  async wrong_password() {
    for (const [user, pass] of [["alice", "b"], ["nobody", "a"]]) {
      const refused = client({ servers: usersAddress, user, pass, maxReconnectAttempts: 0 });
      await assert.rejects(refused, { code: nats.ErrorCode.AuthorizationViolation });
    }
    const nc = await client({ servers: usersAddress, user: "alice", pass: "a" });
    await nc.flush();
    await nc.close();
  },

  async permission_violation() {
    const nc = await client({ servers: usersAddress, user: "bob", pass: "b" });
    const isViolation = (operation, subject) => ({ type, permissionContext: context }) =>
      type === nats.Events.Error && context?.operation === operation && context.subject === subject;
    const publish = status("the publish is refused", nc, isViolation("publish", "closed.a"));
    nc.publish("closed.a", "x");
    await publish;
    const refused = listen(nc, "closed.>");
    await assert.rejects(next(refused), { code: nats.ErrorCode.PermissionsViolation });
    const messages = listen(nc, "open.*");
    nc.publish("open.a", "x");
    await expect(messages, "x");
    await nc.close();
  },

  // Subjects of one account are unseen by the others, and nobody there answers.
  async accounts() {
    const till = await client({ servers: usersAddress, user: "till", pass: "t" });
    const alice = await client({ servers: usersAddress, user: "alice", pass: "a" });
    const [ofTill, ofAlice] = [till, alice].map((nc) => listen(nc, "orders"));
    till.subscribe("service");
    await till.flush();
    await alice.flush();
    till.publish("orders", "till");
    await till.flush();
    alice.publish("orders", "alice");
    await expect(ofTill, "till");
    await expect(ofAlice, "alice");
    const code = nats.ErrorCode.NoResponders;
    await assert.rejects(alice.request("service", "x", { timeout: PATIENCE_MS }), { code });
    await till.close();
    await alice.close();
  },

  async nkey() {
    const authenticator = nats.nkeyAuthenticator(new TextEncoder().encode(usersSeed));
    const nc = await client({ servers: usersAddress, authenticator });
    const messages = listen(nc, "a");
    nc.publish("a", "x");
    await expect(messages, "x");
    await nc.close();
  },

  async tls() {
    const servers = tlsAddress.replace("127.0.0.1", "localhost");
    const nc = await client({ servers, tls: { caFile: certificateFile } });
    const messages = listen(nc, "a");
    const payload = "p".repeat(500_000);
    nc.publish("a", payload);
    await expect(messages, payload);
    await nc.close();
  },
};

async function main() {
  for (const [name, play] of Object.entries(scenarios)) {
    await play();
    console.log("ok", name);
  }
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
