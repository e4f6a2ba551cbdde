// Server-sent events of an answer. (A browser's own EventSource cannot carry a token.)

/** The header that carries a token: a byte a character, since no other header can be sent. */
export const authorization = (token) =>
  ({ Authorization: `Bearer ${String.fromCharCode(...new TextEncoder().encode(token))}` });

/**
 * Hands the events of a body to `take(event, data)`, with the data out of JSON, until it ends, or
 * nothing comes for `silenceMs`: then the network or the server is away without a word.
 */
export async function events(body, take, silenceMs) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const silence = silenceMs && setTimeout(() => reader.cancel(), silenceMs);
    const { value, done } = await reader.read();
    clearTimeout(silence);
    if (done) return;
    text += value;
    const blocks = text.split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const lines = block.split("\n");
      const field = (name) => lines.filter((line) => line.startsWith(`${name}: `))
        .map((line) => line.slice(name.length + 2)).join("\n");
      // A comment, which keeps the connection open, has no data.
      if (field("data") !== "") take(field("event"), JSON.parse(field("data")));
    }
  }
}
