// One line on a terminal that says how far a run is, and goes away.
import { cut, WIDTH } from "./columns.ts";
import type { Reporter, SuiteEvent, Write } from "./reporter.ts";

/** Milliseconds before the line appears, and between two changes of it. */
const INTERVAL = 200;

/** Writes over itself with a carriage return: only for terminals. */
export class ProgressReporter implements Reporter {
  #cases = 0;
  #begun = 0;
  #lastShown: number;
  #visible = false;

  /** `now` tells milliseconds. */
  constructor(readonly write: Write, readonly now: () => number) {
    this.#lastShown = now();
  }

  report(event: SuiteEvent): void {
    switch (event.type) {
      case "started":
        this.#cases = event.cases;
        break;
      case "case":
        this.#begun++;
        this.#show(event.id);
        break;
      case "group":
      case "finished":
        // Whatever the other reporters write next must not stand behind it.
        this.#clear();
        break;
      default:
        event satisfies never;
    }
  }

  #show(id: string): void {
    const now = this.now();
    if (now - this.#lastShown < INTERVAL) return;
    this.#lastShown = now;
    this.#visible = true;
    const text = cut(` ${this.#begun}/${this.#cases}  ${id}`, WIDTH - 1);
    this.write(`\r\x1b[2K${text}`);
  }

  #clear(): void {
    if (this.#visible) this.write("\r\x1b[2K");
    this.#visible = false;
  }
}
