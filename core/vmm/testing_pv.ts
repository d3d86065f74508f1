// The contract of the pv-ops, run on every back end: one guest, the same console, registers, memory and disk.
import { assertEquals } from "@std/assert";
import { BACKENDS } from "../base/backend.ts";
import type { EndState } from "../trace/exit.ts";
import { runProgram } from "./testing_runs.ts";

/** What must come of a guest; nothing on the console and an end with code 0 if not told otherwise. */
export interface Expected {
  readonly end?: EndState;
  readonly console?: string;
  readonly registers?: Readonly<Record<string, bigint>>;
  /** Text at the start of a sector of the disk. */
  readonly sector?: readonly [number: number, text: string];
}

/** A case: what it shows, the program, and what must come of it. */
export type Row = readonly [name: string, program: string, expected: Expected];

/** The disk of each guest: every sector says its number. */
const SECTORS = 128;
const PATTERN = "sector {n}\n";

/** Defines a test of each case on each back end. */
export function pvContract(
  rows: readonly Row[],
  disk: { readonly readOnly: boolean } = { readOnly: false },
): void {
  for (const backend of BACKENDS) {
    for (const [name, program, expected] of rows) {
      Deno.test(`${backend}: ${name}`, () => {
        const disks = [{ sectors: SECTORS, readOnly: disk.readOnly, pattern: PATTERN }];
        const trace = runProgram(backend, program, { disks });
        assertEquals(trace.end, expected.end ?? { kind: "shutdown", code: 0 });
        assertEquals(new TextDecoder().decode(trace.console), expected.console ?? "");
        for (const [register, value] of Object.entries(expected.registers ?? {})) {
          assertEquals(trace.final.registers[register], value, register);
        }
        if (expected.sector) {
          const [number, text] = expected.sector;
          const bytes = trace.final.disks[0]?.subarray(number * 512, number * 512 + text.length);
          assertEquals(new TextDecoder().decode(bytes), text);
        }
      });
    }
  }
}

/** Eight characters as a register has them. */
export function word(text: string): bigint {
  return new DataView(new TextEncoder().encode(text).buffer).getBigUint64(0, true);
}
