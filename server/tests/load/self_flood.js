// A NATS client that publishes to itself as fast as it can: the server slows it down and does not
// cut it, so everything comes.
//
//     export NODE_PATH=target/nats-clients/node/node_modules
//     node server/tests/load/self_flood.js ADDRESS [MESSAGES]
"use strict";

const nats = require("nats");

const PAYLOAD_BYTES = 1024;
const [address, messages = "300000"] = process.argv.slice(2);

async function main() {
  const count = Number(messages);
  const nc = await nats.connect({ servers: address, reconnect: false });
  const ended = nc.closed().then((error) => {
    throw error ?? new Error("the connection ended");
  });
  const came = new Promise((resolve, reject) => {
    let next = 0;
    nc.subscribe("flood", {
      callback: (error, message) => {
        if (error) return reject(error);
        const { buffer, byteOffset } = message.data;
        const number = new DataView(buffer, byteOffset).getUint32(0);
        if (number !== next) reject(new Error(`${number} came, not ${next}`));
        next += 1;
        if (next === count) resolve();
      },
    });
  });
  const began = Date.now();
  for (let number = 0; number < count; number++) {
    const payload = new Uint8Array(PAYLOAD_BYTES);
    new DataView(payload.buffer).setUint32(0, number);
    nc.publish("flood", payload);
  }
  await Promise.race([came, ended]);
  const seconds = (Date.now() - began) / 1000;
  console.log(`${count} messages of ${PAYLOAD_BYTES} bytes in ${seconds} s`);
  process.exit(0);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
