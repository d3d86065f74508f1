// Says how two outcomes of one trial differ, apart from flags that the manual leaves undefined and from what `leniences.ts`
// lists.
import { AT, WATCHED } from "./machine.ts";
import { type Lenience, LENIENCES } from "./leniences.ts";
import { isReal, registerBits, registerOf, situation, stackPointer } from "./situation.ts";
import type { Outcome, Trial } from "./trial.ts";

/** One thing that came out otherwise. */
export interface Difference {
  /** A register's name, `end`, or `memory`. */
  readonly what: string;
  /** Of a byte of memory. */
  readonly address?: number;
  readonly theirs: string | bigint;
  readonly ours: string | bigint;
}

/** What a comparison finds. */
export interface Comparison {
  readonly differences: readonly Difference[];
  /** Leniences of QEMU's that explain differences which are therefore not among them. */
  readonly forgiven: ReadonlySet<Lenience>;
}

const SEGMENTS = ["es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr"] as const;
const ATTRIBUTE_P = 0x80n;
/** Bit 1 of a TSS's type. QEMU's TR is not busy; the TSS in memory is, and is compared. */
const BUSY = 2n;

/** Compares two outcomes of a trial. */
export function compare(trial: Trial, theirs: Outcome, ours: Outcome): Comparison {
  const judged = situation(trial, theirs, ours);
  const forgiven = new Set<Lenience>();
  const differences = rawDifferences(trial, theirs, ours).filter((difference) => {
    const lenience = LENIENCES.find(({ covers }) => covers(difference, judged));
    if (lenience) forgiven.add(lenience);
    return !lenience;
  });
  return { differences, forgiven };
}

function rawDifferences(trial: Trial, theirs: Outcome, ours: Outcome): Difference[] {
  if (theirs.end !== ours.end) return [{ what: "end", theirs: theirs.end, ours: ours.end }];
  if (theirs.end === "shutdown" || theirs.end === "endless") return [];
  const found: Difference[] = [];
  const check = (what: string, mask = ~0n) => {
    if (theirs.registers[what] === undefined) return;
    const [a, b] = [registerOf(theirs, what) & mask, registerOf(ours, what) & mask];
    if (a !== b) found.push({ what, theirs: a, ours: b });
  };
  const real = isReal(ours);
  const wide = registerBits(ours) === 64 ? ~0n : 0xffff_ffffn;
  for (const name of Object.keys(ours.registers)) {
    if (!name.includes(".")) check(name, name === "rflags" ? ~(trial.undefinedFlags ?? 0n) : wide);
  }
  for (const name of SEGMENTS) {
    if (real && (name === "ldtr" || name === "tr")) continue;
    check(`${name}.selector`);
    // The rest of a segment that is not there is nobody's business.
    const attributes = `${name}.attributes`;
    if (![theirs, ours].some((outcome) => registerOf(outcome, attributes) & ATTRIBUTE_P)) continue;
    check(`${name}.base`);
    if (real) continue;
    check(`${name}.limit`);
    check(attributes, name === "tr" ? ~BUSY : ~0n);
  }
  if (!real) { for (const name of ["gdtr", "idtr"]) check(`${name}.base`), check(`${name}.limit`); }
  return [...found, ...memoryDifferences(theirs, ours)];
}

function memoryDifferences(theirs: Outcome, ours: Outcome): Difference[] {
  const found: Difference[] = [];
  for (const [region, { address }] of WATCHED.entries()) {
    const [a, b] = [theirs.memory[region], ours.memory[region]];
    if (!a || !b) continue;
    const [left, right] = [words(a), words(b)];
    for (let i = 0; i < left.length; i++) {
      if (left[i] === right[i]) continue;
      for (let at = 4 * i; at < 4 * i + 4; at++) {
        if (a[at] === b[at]) continue;
        found.push({
          what: "memory",
          address: address + at,
          theirs: BigInt(a[at] ?? 0),
          ours: BigInt(b[at] ?? 0),
        });
      }
    }
  }
  return found;
}

function words(bytes: Uint8Array): Int32Array {
  return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
}

const MAX_SHOWN = 12;

/** Differences for a person to read, and where either processor ended. */
export function describe(
  differences: readonly Difference[],
  theirs: Outcome,
  ours: Outcome,
): string[] {
  const show = (value: string | bigint) => typeof value === "bigint" ? value.toString(16) : value;
  const lines = differences.slice(0, MAX_SHOWN).map(({ what, address, theirs, ours }) =>
    `${address === undefined ? what : `[${address.toString(16)}]`}: ${show(theirs)}, ours ${
      show(ours)
    }`
  );
  if (differences.length > MAX_SHOWN) lines.push(`and ${differences.length - MAX_SHOWN} more`);
  return [...lines, `(QEMU ${ending(theirs)})`, `(ours ${ending(ours)})`];
}

const SHOWN_STACK = 40;

function ending(outcome: Outcome): string {
  const { end, registers } = outcome;
  const at = Math.max(0, stackPointer(outcome) - AT.data);
  const stack = outcome.memory[1]?.subarray(at, at + SHOWN_STACK) ?? [];
  const bytes = Array.from(stack, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return `${end} at ${registers["rip"]}, cr2 ${registers["cr2"]}, stack ${bytes}`;
}
