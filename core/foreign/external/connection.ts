// A conversation with one process of a VMM: messages out, messages in, and what can go wrong in words. Knows nothing of runs.
import { printable } from "../../base/printable.ts";
import { type Child, type Ended, spawnChild, type Written } from "../child.ts";
import { type Hello, PROTOCOL, type Request, type Response } from "./protocol.ts";
import { readMessage } from "./read_message.ts";

/** Bytes of a line of a VMM's: a full batch of events has no more. */
const MAX_LINE = 4 << 20;
/** Bytes a run: two million events and more. */
const MAX_OUTPUT = 256 << 20;
/** A pipe that nobody empties for so long is not going to be. */
export const WRITE_MS = 10_000;
/** Given to a VMM to end when its input does, then again at SIGTERM. */
const GRACE_MS = 500;
/** Between the end of a process's output and its own, at most. */
const CLOSING_MS = 200;
/** Bytes that are handed over in one go. */
const BATCH = 1 << 18;
/** Of the last words of a VMM that has ended. */
const MAX_WORDS = 200;

/** What came, or why nothing more will: `reason` is a clause without a full stop. */
export type Received =
  | { readonly kind: "message"; readonly message: Response; readonly line: number }
  | { readonly kind: "trouble"; readonly reason: string }
  /** Nothing in the time given. */
  | { readonly kind: "silence" };

/** A VMM that has said hello, or why it has not. */
export type Connected =
  | { readonly connection: Connection; readonly hello: Hello }
  | { readonly failed: string };

/** Starts a VMM and greets it, for at most `ms`. */
export async function connect(command: readonly string[], ms: number): Promise<Connected> {
  const [program = "", ...args] = command;
  const options = { maxLine: MAX_LINE, maxOutput: MAX_OUTPUT };
  const spawned = spawnChild({ program, args, ...options });
  if ("failed" in spawned) return { failed: spawned.failed };
  const connection = new Connection(spawned.child);
  const hello = await greet(connection, ms);
  if (typeof hello !== "string") return { connection, hello };
  await connection.end();
  return { failed: hello };
}

async function greet(connection: Connection, ms: number): Promise<Hello | string> {
  await connection.send([{ type: "hello", protocols: [PROTOCOL] }]);
  const received = await connection.receive(ms);
  switch (received.kind) {
    case "message":
      return received.message.type === "hello"
        ? received.message
        : unexpected(received.message, "hello", received.line);
    case "trouble":
      return received.reason;
    case "silence":
      return `the VMM has said nothing within ${ms} ms, where its hello was expected`;
  }
}

/** A message that is none of those that may come now. */
export function unexpected(message: Response, wanted: string, line: number): string {
  return `line ${line} of the VMM's output: "${message.type}", where ${wanted} was expected`;
}

/** One process. {@linkcode end} must be called. */
export class Connection {
  readonly #child: Child;

  constructor(child: Child) {
    this.#child = child;
  }

  /** Looks, for `ms`, whether it is fit for another run: it should be silent, and there. */
  async fitness(ms: number): Promise<"fit" | "gone" | { readonly wrong: string }> {
    const received = await this.receive(ms);
    if (received.kind === "silence") return "fit";
    if (received.kind === "trouble") {
      return this.#child.ended ? "gone" : { wrong: received.reason };
    }
    const { message, line } = received;
    return {
      wrong: `line ${line} of the VMM's output: "${message.type}", after the end of its last run`,
    };
  }

  /** A new run begins: what it may print counts from here. */
  allowance(): void {
    this.#child.allowance();
  }

  /** Sends messages, waiting for at most `ms` for each piece to be taken. Where it is `closed`, `receive` tells why. */
  async send(messages: Iterable<Request>, ms = WRITE_MS): Promise<Written> {
    let batch = "";
    for (const message of messages) {
      batch += JSON.stringify(message) + "\n";
      if (batch.length < BATCH) continue;
      const written = await this.#child.write(batch, ms);
      if (written !== "written") return written;
      batch = "";
    }
    return batch === "" ? "written" : await this.#child.write(batch, ms);
  }

  /** Sends a line as it is: for whoever tries what a VMM makes of it. */
  async sendLine(line: string): Promise<Written> {
    return await this.#child.write(`${line}\n`, WRITE_MS);
  }

  /** The next message, waiting for at most `ms`. */
  async receive(ms: number): Promise<Received> {
    const line = await this.#child.line(ms);
    switch (line.kind) {
      case "silence":
        return line;
      case "line": {
        const read = readMessage(line.text);
        if ("message" in read) {
          return { kind: "message", message: read.message, line: line.number };
        }
        return trouble(`line ${line.number} of the VMM's output: ${read.wrong}`);
      }
      case "garbled":
        return trouble(`line ${line.number} of the VMM's output: it is not UTF-8`);
      case "flood":
        return trouble(`line ${line.number} of the VMM's output: ${line.what}`);
      case "end": {
        const half = line.rest === "" ? "" : `, in the middle of line ${line.number} of its output`;
        return trouble(`${await this.#how()}${half}${this.#lastWords()}`);
      }
      default:
        return line satisfies never;
    }
  }

  /** Ends the process at once; what it had said by then can still be received. */
  kill(): void {
    this.#child.kill();
  }

  /** Ends the process, `gently` by ending its input first; tells how it went. */
  async end(gently = false): Promise<Ended> {
    return await this.#child.end(gently ? GRACE_MS : 0);
  }

  /** How a VMM whose output has ended did so itself. */
  async #how(): Promise<string> {
    const ended = await this.#child.exit(CLOSING_MS);
    return ended ? `the VMM has ended: ${ended.how}` : "the VMM has closed its output";
  }

  #lastWords(): string {
    const words = printable(this.#child.stderr.trim().split("\n").at(-1) ?? "");
    return words === "" ? "" : `; its last words: ${words.slice(0, MAX_WORDS)}`;
  }
}

function trouble(reason: string): Received {
  return { kind: "trouble", reason };
}
