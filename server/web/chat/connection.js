// The WebSocket in whose frames the lines go, made again whenever it is lost.

const RETRY_MS = 1_000;

export class Connection {
  /** `opened()`, `line(text)`, `state(text, tone)` are told. */
  constructor(told) {
    Object.assign(this, { told, socket: null, encoder: new TextEncoder() });
  }

  get isOpen() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  say(line) {
    if (this.isOpen) this.socket.send(this.encoder.encode(`${line}\n`));
  }

  open() {
    const decoder = new TextDecoder();
    let text = "";
    this.socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/chat/socket`);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => {
      this.told.state("connected", "fine");
      this.told.opened();
    };
    this.socket.onmessage = ({ data }) => {
      text += decoder.decode(data, { stream: true });
      const lines = text.split("\n");
      text = lines.pop();
      lines.forEach(this.told.line);
    };
    this.socket.onclose = async () => {
      this.told.state(await whyNot(), "severe");
      setTimeout(() => this.open(), RETRY_MS);
    };
  }
}

/** Why there is no connection: a WebSocket does not tell, a request does. */
async function whyNot() {
  try {
    const answer = await fetch("/chat/socket");
    if (answer.status === 426) return "not connected; trying again";
    return `${(await answer.text()).trim()}; trying again`;
  } catch {
    return "the server is not there; trying again";
  }
}
