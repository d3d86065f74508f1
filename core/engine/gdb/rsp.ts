// A client of GDB's remote serial protocol: packets with checksums over a stream, as QEMU's stub speaks it. Commands may be
// sent ahead of their answers, which come in order: a round trip costs more than the work.

/** What carries the bytes. */
export interface Wire {
  read(buffer: Uint8Array): Promise<number | null>;
  write(bytes: Uint8Array): Promise<number>;
  close(): void;
}

/** The stub's stream has ended, as its process has or is about to. */
export class Disconnected extends Error {}

/** The process has ended, by itself or by a signal. */
const LAST_WORDS = /^[WX][0-9a-f]{2}/;

/** Far more than any answer has: packets are of 4096 bytes (PacketSize). */
const MAX_ANSWER = 1 << 20;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** `$command#checksum`, with the acknowledgement of whatever came before. */
export function packet(command: string): string {
  let sum = 0;
  for (const byte of encoder.encode(command)) sum = (sum + byte) & 0xff;
  return `+$${command}#${sum.toString(16).padStart(2, "0")}`;
}

/** Whatever it is, in a message. */
function shown(text: string): string {
  return JSON.stringify(text.slice(0, 40));
}

/** Text of the first whole packet in `text`, and where what follows it starts; undefined if it is not all there. */
export function firstPacket(text: string): { body: string; end: number } | undefined {
  const start = text.indexOf("$");
  const hash = start < 0 ? -1 : text.indexOf("#", start);
  if (hash < 0 || text.length < hash + 3) return undefined;
  const body = text.slice(start + 1, hash);
  if (packet(body).slice(-2) !== text.slice(hash + 1, hash + 3)) {
    throw new Error(`A packet of QEMU's has a wrong checksum: ${shown(body)}`);
  }
  return { body, end: hash + 3 };
}

/** An orderly exchange with the stub. */
export class RemoteProtocol {
  readonly #wire: Wire;
  readonly #buffer = new Uint8Array(65536);
  #text = "";

  constructor(wire: Wire) {
    this.#wire = wire;
  }

  close(): void {
    this.#wire.close();
  }

  /** Sends commands in one go. `raw` bytes (an interrupt is 0x03) may stand among them. */
  async send(...commands: string[]): Promise<void> {
    let bytes = encoder.encode(commands.map(packet).join(""));
    while (bytes.length > 0) bytes = bytes.subarray(await this.#wire.write(bytes));
  }

  /** Stops a running guest; the answer is a stop reply. */
  async interrupt(): Promise<void> {
    await this.#wire.write(Uint8Array.of(3));
  }

  /** The next answer. */
  async receive(): Promise<string> {
    for (;;) {
      const found = firstPacket(this.#text);
      if (found) {
        this.#text = this.#text.slice(found.end);
        if (LAST_WORDS.test(found.body)) throw new Disconnected("QEMU ends");
        return found.body;
      }
      if (this.#text.length > MAX_ANSWER) throw new Error("QEMU's answer has no end");
      const length = await this.#wire.read(this.#buffer);
      if (length === null) throw new Disconnected("QEMU closed the connection");
      this.#text += decoder.decode(this.#buffer.subarray(0, length));
    }
  }

  /** One command and its answer; `E..` and nothing at all are errors. */
  async ask(command: string): Promise<string> {
    await this.send(command);
    const answer = await this.receive();
    if (answer === "" || /^E..$/.test(answer)) {
      throw new Error(`QEMU refuses ${command.slice(0, 40)}: ${answer || "unknown"}`);
    }
    return answer;
  }

  /** What QEMU's monitor answers to a command. */
  async monitor(command: string): Promise<string> {
    await this.send(`qRcmd,${toHex(encoder.encode(command))}`);
    let text = "";
    for (;;) {
      const answer = await this.receive();
      if (answer === "OK") return text;
      if (!answer.startsWith("O")) throw new Error(`QEMU's monitor: ${shown(answer)}`);
      text += decoder.decode(fromHex(answer.slice(1)));
      await this.#wire.write(encoder.encode("+"));
    }
  }
}

/** Two digits a byte, as packets carry memory and registers. */
export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The bytes of {@linkcode toHex}. */
export function fromHex(text: string): Uint8Array {
  return Uint8Array.from(
    { length: text.length / 2 },
    (_, i) => parseInt(text.slice(2 * i, 2 * i + 2), 16),
  );
}
