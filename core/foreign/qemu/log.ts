// QEMU's log, read as it is written: whoever listens hears of accesses, and the monitor's own are fences.
import type { Child } from "../child.ts";
import { type LoggedAccess, readLine } from "./access_log.ts";

/** Between two looks at whether anybody still waits. */
const PATIENCE_MS = 60_000;
/** A port that nobody listens on: PCs use it as a delay. Only the monitor's reads of it are fences. */
export const FENCE_PORT = 0xed;
const NO_CPU = -1;
/** What else was said, kept to its last lines; KVM's complaints have about thirty. */
const KEPT_LINES = 40, KEPT_LENGTH = 200;

/** Of a line that is none of QEMU's, in a message. */
const SHOWN_LENGTH = 80;

/** Is told of each line: an access, or something else. */
export type Listener = (access: LoggedAccess | undefined) => void;

/** The log of one process. */
export class Log {
  readonly #child: Child;
  #fences: (() => void)[] = [];
  #words: string[] = [];
  /** Who hears of what the guest does now. */
  listener: Listener = () => {};
  /** There was more of it than allowed: QEMU has been ended. */
  flooded = false;
  /** It can't be trusted any more, for this reason, a sentence without a full stop: QEMU has been ended. */
  complaint: string | undefined;
  /** Settles at the log's end, which is QEMU's. */
  readonly read: Promise<void>;

  constructor(child: Child) {
    this.#child = child;
    this.read = this.#read();
  }

  /** What QEMU said that is no access. */
  get words(): string {
    return this.#words.join("\n");
  }

  /** Too much was written, or too many accesses were made. */
  flood(): void {
    this.flooded = true;
    void this.#child.end();
  }

  /** Resolves when the monitor's next access is in the log, or the log has ended. */
  fence(): Promise<void> {
    return new Promise((resolve) => this.#fences.push(resolve));
  }

  async #read(): Promise<void> {
    while (!this.flooded && this.complaint === undefined) {
      const line = await this.#child.line(PATIENCE_MS);
      if (line.kind === "line") this.#line(line.text, line.number);
      else if (line.kind === "garbled") this.#broken("it is not UTF-8", line.number);
      else if (line.kind === "flood") this.flood();
      else if (line.kind === "end") {
        // QEMU was ended in the middle of it: half an access is none.
        if (readLine(line.rest) !== "broken") this.#say(line.rest);
        break;
      }
    }
    // Nobody waits for what can't come.
    this.fence = () => Promise.resolve();
    for (const resolve of this.#fences.splice(0)) resolve();
  }

  #line(text: string, number: number): void {
    const read = readLine(text);
    if (read === "broken") return this.#broken(JSON.stringify(text.slice(0, SHOWN_LENGTH)), number);
    if (read === "words") {
      this.#say(text);
      return this.listener(undefined);
    }
    if (read.cpu !== NO_CPU) return this.listener(read);
    if (read.address !== FENCE_PORT) return;
    const fence = this.#fences.shift();
    if (fence) fence();
    else this.#broken("an access of the monitor's, who has not been asked for one", number);
  }

  #broken(what: string, number: number): void {
    this.complaint = `Line ${number} of QEMU's log is none of its own: ${what}`;
    void this.#child.end();
  }

  #say(text: string): void {
    if (text === "") return;
    this.#words.push(text.slice(0, KEPT_LENGTH));
    if (this.#words.length > KEPT_LINES) this.#words.shift();
  }
}
