// Bytes from a child process into lines, bounded: a child that never ends its line must not fill our memory.

const NEWLINE = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/** Cuts a stream of bytes at newlines. Each byte is looked at once, however the stream is cut into chunks. */
export class LineSplitter {
  readonly #maxLine: number;
  /** Bytes since the last newline, in the chunks in which they came. */
  #open: Uint8Array[] = [];
  #openLength = 0;
  /** The chunk being cut. */
  #chunk = new Uint8Array();

  /** `maxLine`: bytes of a line without its newline. */
  constructor(maxLine: number) {
    this.#maxLine = maxLine;
  }

  /** More of the stream. Call it when {@linkcode next} has nothing left. */
  push(chunk: Uint8Array): void {
    if (this.#chunk.length > 0) throw new Error("A chunk is pushed before the last one is used up");
    this.#chunk = chunk as Uint8Array<ArrayBuffer>;
  }

  /** The next whole line without its end, `\n` or `\r\n`; undefined: more is needed; `too-long`: it is beyond the bound. */
  next(): Uint8Array | "too-long" | undefined {
    const end = this.#chunk.indexOf(NEWLINE);
    const part = end < 0 ? this.#chunk : this.#chunk.subarray(0, end);
    if (this.#openLength + part.length > this.#maxLine) return "too-long";
    this.#chunk = end < 0 ? new Uint8Array() : this.#chunk.subarray(end + 1);
    if (part.length > 0) {
      this.#open.push(part);
      this.#openLength += part.length;
    }
    if (end < 0) return undefined;
    const line = this.rest();
    return line.at(-1) === CARRIAGE_RETURN ? line.subarray(0, -1) : line;
  }

  /** Takes what has come since the last newline. */
  rest(): Uint8Array {
    const whole = joined(this.#open, this.#openLength);
    this.#open = [];
    this.#openLength = 0;
    return whole;
  }
}

function joined(parts: readonly Uint8Array[], length: number): Uint8Array {
  const [first] = parts;
  if (first && parts.length === 1) return first;
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** The last bytes of a stream. */
export class Tail {
  readonly #kept: Uint8Array;
  /** Bytes that came; that much of the end is kept, at most. */
  total = 0;

  constructor(size: number) {
    this.#kept = new Uint8Array(size);
  }

  push(chunk: Uint8Array): void {
    const size = this.#kept.length;
    const part = chunk.subarray(Math.max(0, chunk.length - size));
    this.#kept.copyWithin(0, part.length);
    this.#kept.set(part, size - part.length);
    this.total += chunk.length;
  }

  /** As text, what is not UTF-8 replaced; starts with a whole line where something was cut off. */
  text(): string {
    const length = Math.min(this.total, this.#kept.length);
    const text = new TextDecoder().decode(this.#kept.subarray(this.#kept.length - length));
    const newline = text.indexOf("\n");
    return this.total > length && newline >= 0 ? text.slice(newline + 1) : text;
  }
}
