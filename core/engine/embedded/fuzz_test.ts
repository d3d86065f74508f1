// Random bytes as a program: whatever they mean, the engine stops within its budget, keeps to its memory and throws nothing;
// and the same bytes give the same run twice.
import { assertEquals } from "@std/assert";
import { treatments } from "../../cpu/sensitive_operations.ts";
import { ENTRIES, type Entry } from "../../scenario/case.ts";
import type { Vcpu } from "../vcpu.ts";
import { embedded } from "./engine.ts";
import { bareImage, startedVcpu } from "../testing.ts";

const SEED = 1;
const PROGRAMS = 20;
const MEMORY = 1 << 20;
const CODE = 0x7c00;
const LENGTH = 64;
const STOPS = 20;

/** Linear congruential (Numerical Recipes): enough for bytes. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) >>> 8;
}

function machine(entry: Entry, program: Uint8Array): Vcpu {
  const image = bareImage({
    entry,
    memory: MEMORY,
    start: CODE,
    placed: [{ address: CODE, bytes: program }],
  });
  const table = treatments("intercepted");
  const vcpu = startedVcpu(embedded, image, {
    controls: {
      kernel: table,
      user: table,
      exceptionVia: "vm-exit",
      exceptions: 0,
      paging: "nested",
    },
    timestamp: () => BigInt(vcpu.retired),
  });
  return vcpu;
}

/** Runs to a triple fault, or for a while; what a VMM would do after each exit is done in the simplest way. */
function run(vcpu: Vcpu): string {
  const log: string[] = [];
  for (let i = 0; i < STOPS; i++) {
    const before = vcpu.retired;
    const stop = vcpu.run(500);
    if (vcpu.retired - before > 500) throw new Error("More instructions than granted");
    log.push(stop.reason === "exit" ? stop.exit.kind : stop.reason);
    if (stop.reason === "idle") break;
    if (stop.reason !== "exit") continue;
    if (stop.exit.kind === "triple-fault") break;
    if (
      stop.exit.kind === "io" ||
      (stop.exit.kind === "ept-violation" && stop.exit.detail.access !== "execute")
    ) {
      vcpu.complete(0n);
    } else if (stop.exit.kind === "ept-violation") break;
    else vcpu.skip();
  }
  const { general, special } = vcpu.registers();
  return [log.join(), ...Object.values(general), ...Object.values(special)].join(" ");
}

for (const entry of ENTRIES) {
  Deno.test(`random bytes as ${entry} code stay in their bounds, twice the same (seed ${SEED})`, () => {
    const next = generator(SEED + ENTRIES.indexOf(entry));
    for (let i = 0; i < PROGRAMS; i++) {
      const program = Uint8Array.from({ length: LENGTH }, () => next() & 0xff);
      const runs = [1, 2].map(() => {
        const vcpu = machine(entry, program);
        try {
          return run(vcpu);
        } catch (error) {
          throw new Error(`Program ${i}: ${program}`, { cause: error });
        } finally {
          vcpu.dispose();
        }
      });
      assertEquals(runs[0], runs[1], `program ${i}: ${program}`);
    }
  });
}
