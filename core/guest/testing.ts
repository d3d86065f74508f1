// Guests for tests: a program from a text, without the scenario around it.
import type { SourceFile } from "../base/source.ts";
import type { GuestSpec, Program } from "../scenario/case.ts";

/** A program whose lines point into a file of that text. */
export function programOf(text: string, name = "test.asm"): Program {
  const file: SourceFile = { name, text };
  let start = 0;
  const lines = text.split("\n").map((line) => {
    const span = { file, start, end: start + line.length };
    start = span.end + 1;
    return span;
  });
  return { text, lines };
}

/** A long64 guest with 2 MiB of memory that runs this text; with other properties where they are given. */
export function guestOf(text: string, changes: Partial<GuestSpec> = {}): GuestSpec {
  return {
    entry: "long64",
    memory: 2 << 20,
    program: programOf(text),
    registers: {},
    disks: [],
    expectedUnported: [],
    observe: { registers: [], memory: {} },
    ...changes,
  };
}
