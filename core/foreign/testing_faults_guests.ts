// Guests for runs that go wrong: each prints letters first, and what it has printed by then is never lost.
import { assert, assertEquals, assertMatch } from "@std/assert";
import type { Backend, Engine } from "../base/backend.ts";
import { renderDiagnostic } from "../base/diagnostic.ts";
import type { SourceFile } from "../base/source.ts";
import { buildGuest } from "../guest/build.ts";
import { guestOf } from "../guest/testing.ts";
import { DEFAULT_LIMITS, type DiskSpec, type Entry, type Limits } from "../scenario/case.ts";
import { describeEnd } from "../trace/print.ts";
import { BACKEND_DEFINITIONS } from "../vmm/backends.ts";
import type { Job } from "../vmm/subject.ts";
import { profileNamed } from "../vmm/testing_runs.ts";
import type { Result } from "./testing_faults.ts";

/** A verdict on a busy machine, in milliseconds. */
export const WITHIN_MS = 30_000;
export const LETTER = "A";

/** Where a guest that counts what it prints keeps the number. */
const COUNT = "printed", COUNT_BYTES = 8;

export interface GuestOptions {
  readonly entry?: Entry;
  readonly limits?: Partial<Limits>;
  readonly disks?: readonly DiskSpec[];
  readonly cpus?: number | undefined;
}

function include(name: string): SourceFile {
  return { name, text: Deno.readTextFileSync(new URL(`../../fixtures/${name}`, import.meta.url)) };
}

/** A run of a program to make. Who has a label `printed` is asked for the eight bytes there. */
export function guestJob(
  backend: Backend,
  engine: Engine,
  text: string,
  { entry = "long64", limits = {}, disks = [], cpus }: GuestOptions = {},
): Job {
  const definition = BACKEND_DEFINITIONS.get(backend);
  assert(definition, backend);
  const counts = text.includes(`${COUNT}:`);
  const memory = counts ? { [COUNT]: COUNT_BYTES } : {};
  const guest = guestOf(text, {
    entry,
    disks,
    ...(cpus === undefined ? {} : { cpus }),
    observe: { registers: [], memory },
  });
  const { image, diagnostics } = buildGuest(guest, definition.platform, { include });
  if (!image) throw new Error(diagnostics.map((found) => renderDiagnostic(found)).join("\n"));
  return {
    group: { guest, limits: { ...DEFAULT_LIMITS, ...limits } },
    subject: { id: "fault", backend, engine, expect: { registers: {}, memory: {} } },
    image,
    profile: profileNamed("kvm-2017"),
  };
}

/** Text that prints so many letters and goes on at `body`. */
export function printing(letters: number, body: string, entry: Entry = "long64"): string {
  const counter = entry === "real16" ? "cx" : "ecx";
  if (entry === "long64") {
    return `start:
    lea   rsi, [rel letters]
    mov   ecx, ${letters}
    pv    console_write
    jmp   body
letters: times ${letters} db '${LETTER}'
    align 16
body:
${body}`;
  }
  return `start:
    mov   dx, 0x3f8
    mov   al, '${LETTER}'
    mov   ${counter}, ${letters}
print:
    out   dx, al
    loop  print
${body}`;
}

/** What a run must come to. */
export interface Expectation {
  readonly letters: number;
  /** In words, `describeEnd`'s or the reason of a run that was skipped. */
  readonly end: RegExp;
  /** It may have ended before all was printed. */
  readonly early?: boolean;
}

/** Holds that a verdict is one of those expected, and that nothing that was printed is lost. */
export function checkGuest(result: Result, { letters, end, early = false }: Expectation): void {
  if ("lacks" in result) return assert(result.lacks.length > 0);
  const { trace } = result;
  assertMatch(describeEnd(trace.end), end);
  if (trace.unobserved.includes("console")) return;
  const text = new TextDecoder("latin1").decode(trace.console);
  const whole = text.startsWith(LETTER.repeat(letters));
  assert(whole || early && /^A*$/.test(text), `printed: ${JSON.stringify(text.slice(0, 100))}`);
  const count = trace.final.memory[COUNT];
  if (!count || !whole) return;
  // One may be on its way.
  const counted = Number(new DataView(count.slice().buffer).getBigUint64(0, true));
  assertEquals(text.length - letters - counted & ~1, 0, `${counted} of ${text.length - letters}`);
}
