// What the tests of devices plug them into.
import type { InterruptLine, Power, Sink } from "./device.ts";
import { VirtualClock } from "../base/clock.ts";

/** A line that remembers its level and counts its rises. */
export class TestLine implements InterruptLine {
  level = false;
  rises = 0;
  set(level: boolean): void {
    if (level && !this.level) this.rises++;
    this.level = level;
  }
}

/** A sink that keeps what it gets, as text. */
export class TestSink implements Sink {
  text = "";
  write(bytes: Uint8Array): void {
    this.text += new TextDecoder().decode(bytes);
  }
}

/** A power switch that remembers how it was used. */
export class TestPower implements Power {
  readonly events: string[] = [];
  off(code: number): void {
    this.events.push(`off ${code}`);
  }
  reset(): void {
    this.events.push("reset");
  }
}

/** A clock set by hand. */
export class TestClock extends VirtualClock {
  #now: { ns: number };
  constructor() {
    const now = { ns: 0 };
    super(() => now.ns);
    this.#now = now;
  }
  /** Goes on to `ns`, stopping at every alarm on the way. Tells how many fired. */
  advanceTo(ns: number): number {
    let fired = 0;
    for (let next = this.nextAlarm(); next !== undefined && next <= ns; next = this.nextAlarm()) {
      this.#now.ns = Math.max(this.#now.ns, next);
      fired += this.runDue();
    }
    this.#now.ns = ns;
    return fired;
  }
  /** Goes on to `ns` at once, as during a long VM exit, and then runs what is due. */
  jumpTo(ns: number): number {
    this.#now.ns = ns;
    return this.runDue();
  }
}
