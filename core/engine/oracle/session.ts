// Puts trials to both processors, and keeps the books.
import { hexBytes } from "../../base/hex.ts";
import { compare, describe } from "./compare.ts";
import { EmbeddedCpu } from "./embedded.ts";
import type { Lenience } from "./leniences.ts";
import { QemuCpu } from "./qemu.ts";
import type { Trial } from "./trial.ts";

/** A trial on which the processors differ. */
export interface Mismatch {
  readonly trial: Trial;
  readonly differences: readonly string[];
}

/** What came of trials: by mode, how many were compared. */
export interface Tally {
  readonly compared: Map<string, number>;
  /** Trials that left RAM, or wrote over code: not compared. */
  outside: number;
  readonly mismatches: Mismatch[];
  /** How often each lenience of QEMU's was met. */
  readonly forgiven: Map<Lenience, number>;
}

export class Session {
  readonly tally: Tally = { compared: new Map(), outside: 0, mismatches: [], forgiven: new Map() };
  #qemu: QemuCpu | undefined;
  #embedded = new EmbeddedCpu();

  /** `notice` is told of every mismatch at once. */
  constructor(readonly notice: (mismatch: Mismatch) => void = () => {}) {}

  /** Runs one trial on both; gives back how they differ. */
  async compare(trial: Trial, grant?: number): Promise<readonly string[]> {
    const ours = this.#embedded.run(trial, grant);
    if (ours.end === "elsewhere" || this.#embedded.damaged()) {
      this.tally.outside++;
      if (this.#embedded.damaged()) await this.#renew();
      return [];
    }
    this.#qemu ??= await QemuCpu.start();
    const theirs = await this.#qemu.run(trial);
    const { differences, forgiven } = compare(trial, theirs, ours);
    for (const lenience of forgiven) {
      this.tally.forgiven.set(lenience, (this.tally.forgiven.get(lenience) ?? 0) + 1);
    }
    const found = differences.length > 0 ? describe(differences, theirs, ours) : [];
    const { name } = trial.mode;
    this.tally.compared.set(name, (this.tally.compared.get(name) ?? 0) + 1);
    if (found.length > 0) {
      const mismatch = { trial, differences: found };
      this.tally.mismatches.push(mismatch);
      this.notice(mismatch);
    }
    // A processor that shut down is of no more use; where only one went on, it may have written where nothing is watched. Both
    // start afresh.
    if (["shutdown", "endless", "elsewhere"].includes(theirs.end) || theirs.end !== ours.end) {
      await this.#renew();
    }
    return found;
  }

  async #renew(): Promise<void> {
    await this.#qemu?.stop();
    this.#qemu = undefined;
    this.#embedded.dispose();
    this.#embedded = new EmbeddedCpu();
  }

  async stop(): Promise<void> {
    await this.#qemu?.stop();
    this.#embedded.dispose();
  }
}

/** A mismatch with all that is needed to try it again. */
export function describeMismatch({ trial, differences }: Mismatch): string {
  const registers = trial.general.map((value) => value.toString(16)).join(" ");
  return [
    `${trial.name}, ${trial.mode.name}: ${hexBytes(trial.code, " ")}`,
    `  registers ${registers}, flags ${trial.rflags.toString(16)}`,
    ...differences.map((difference) => `  ${difference}`),
  ].join("\n");
}
