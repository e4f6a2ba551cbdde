// Server-sent events of an answer. (A browser's own EventSource cannot carry a token.)

/** Hands the events of a body to `take(event, data)`, with the data out of JSON, until it ends. */
export async function events(body, take) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
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
