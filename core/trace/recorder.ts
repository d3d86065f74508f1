// The one place where exits, accesses, injections and console bytes are counted.
import type { Access, Exit, Injection } from "./exit.ts";
import { type Counts, MAX_CONSOLE, MAX_EVENTS, MAX_LATE, type TraceEvent } from "./trace.ts";

/** Collects one run. */
export class Recorder {
  readonly events: TraceEvent[] = [];
  readonly counts: Counts = {
    instructions: 0,
    exits: { total: 0, kinds: {} },
    ways: {},
    inlined: {},
    accesses: {},
    injections: {},
    native: {},
  };
  dropped = 0;
  /** Grows by doubling; its first bytes are the console's. */
  #console = new Uint8Array(256);
  #length = 0;
  /** How many events were kept of each source since the list was full. */
  readonly #late = new Map<string, number>();

  /**
   * `retired` tells how many guest instructions have retired so far, `cpu` the number of the CPU that runs, where there are
   * several.
   */
  constructor(
    readonly retired: () => number,
    readonly cpu: () => number | undefined = () => undefined,
  ) {}

  exit(exit: Exit): void {
    this.counts.exits.total++;
    count(this.counts.exits.kinds, exit.kind);
    count(this.counts.ways, `${exit.via}/${exit.kind}`);
    this.#keep({ at: this.retired(), type: "exit", exit });
  }

  /** How many there were of all kinds. */
  get accesses(): number {
    return Object.values(this.counts.accesses).reduce((sum, count) => sum + count, 0);
  }

  access(access: Access): void {
    count(this.counts.accesses, access.kind);
    this.#keep({ at: this.retired(), type: "access", access });
  }

  injection(injection: Injection): void {
    count(this.counts.injections, injection.kind);
    this.#keep({ at: this.retired(), type: "injection", injection });
  }

  /** Something that costs on bare hardware too, by its name in the cost profile. */
  native(name: string): void {
    count(this.counts.native, name);
  }

  /** Past {@linkcode MAX_CONSOLE} bytes are dropped, here and from the events: a guest decides how many it sends. */
  console(bytes: Uint8Array): void {
    const kept = bytes.slice(0, MAX_CONSOLE - this.#length);
    const length = this.#length + kept.length;
    if (length > this.#console.length) {
      const grown = new Uint8Array(Math.max(length, 2 * this.#console.length));
      grown.set(this.#console);
      this.#console = grown;
    }
    this.#console.set(kept, this.#length);
    this.#length = length;
    if (kept.length > 0) this.#keep({ at: this.retired(), type: "console", bytes: kept });
    if (kept.length < bytes.length) this.dropped++;
  }

  consoleBytes(): Uint8Array {
    return this.#console.slice(0, this.#length);
  }

  /** Is it one of the few that are kept of its source when the list is full? */
  #isLate(event: TraceEvent): boolean {
    if (this.events.length >= MAX_EVENTS + MAX_LATE.total) return false;
    const source = sourceOf(event);
    const kept = this.#late.get(source) ?? 0;
    if (kept >= MAX_LATE.source) return false;
    this.#late.set(source, kept + 1);
    return true;
  }

  #keep(event: TraceEvent): void {
    if (this.events.length >= MAX_EVENTS && !this.#isLate(event)) {
      this.dropped++;
      return;
    }
    const cpu = this.cpu();
    this.events.push(cpu === undefined ? event : { ...event, cpu });
  }
}

/** Where an event comes from. */
function sourceOf(event: TraceEvent): string {
  switch (event.type) {
    case "exit": {
      const { kind, detail } = event.exit;
      const place = "port" in detail ? detail.port : "gpa" in detail ? detail.gpa : "";
      return `exit ${kind} ${place}`;
    }
    case "access": {
      const { access } = event;
      return `${access.kind} ${"address" in access ? access.address : access.device}`;
    }
    case "injection": {
      const { injection } = event;
      return `${injection.kind} ${"vector" in injection ? injection.vector : ""}`;
    }
    case "console":
      return "console";
    default:
      return event satisfies never;
  }
}

function count<K extends string>(counts: Partial<Record<K, number>>, key: K): void {
  counts[key] = (counts[key] ?? 0) + 1;
}
