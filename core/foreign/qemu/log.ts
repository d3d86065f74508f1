// QEMU's log, read as it is written: whoever listens hears of accesses, and the monitor's own are fences.
import type { Child } from "../child.ts";
import { type LoggedAccess, loggedAccess } from "./access_log.ts";

/** Between two looks at whether anybody still waits. */
const PATIENCE_MS = 60_000;
/** A port that nobody listens on: PCs use it as a delay. Only the monitor's reads of it are fences. */
export const FENCE_PORT = 0xed;
const NO_CPU = -1;
/** What else was said, kept to its last lines; KVM's complaints have about thirty. */
const KEPT_LINES = 40, KEPT_LENGTH = 200;

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
  async flood(): Promise<void> {
    this.flooded = true;
    await this.#child.end();
  }

  /** Resolves when the monitor's next access is in the log, or the log has ended. */
  fence(): Promise<void> {
    return new Promise((resolve) => this.#fences.push(resolve));
  }

  async #read(): Promise<void> {
    for (;;) {
      const line = await this.#child.line(PATIENCE_MS);
      if (line.kind === "line") this.#line(line.text);
      else if (line.kind === "flood") await this.flood();
      else if (line.kind === "end") {
        this.#say(line.rest);
        break;
      }
      if (this.flooded) break;
    }
    // Nobody waits for what can't come.
    this.fence = () => Promise.resolve();
    for (const resolve of this.#fences.splice(0)) resolve();
  }

  #line(text: string): void {
    const access = loggedAccess(text);
    if (access?.cpu === NO_CPU) {
      if (access.address === FENCE_PORT) this.#fences.shift()?.();
      return;
    }
    if (!access) this.#say(text);
    this.listener(access);
  }

  #say(text: string): void {
    if (text === "") return;
    this.#words.push(text.slice(0, KEPT_LENGTH));
    if (this.#words.length > KEPT_LINES) this.#words.shift();
  }
}
