// RDRAND and RDSEED: the scenario's seed decides their numbers, whatever the back end and the number of CPUs.
import { assertEquals, assertNotEquals } from "@std/assert";
import { entropy } from "../base/entropy.ts";
import { BACKENDS } from "../base/backend.ts";
import type { Backend } from "../base/backend.ts";
import { runProgram } from "./testing_runs.ts";

const DRAWS = `
    start:
        rdrand rax
        mov   [rel numbers], rax
        rdseed rcx
        mov   [rel numbers + 8], rcx
        rdrand edx
        mov   [rel numbers + 16], rdx
        xor   edi, edi
        pv    shutdown
        align 8
    numbers: dq 0, 0, 0
`;
const observe = { numbers: 24 };

function numbers(backend: Backend, seed: number | undefined): readonly bigint[] {
  const trace = runProgram(backend, DRAWS, {
    observe,
    change: (image) => seed === undefined ? image : { ...image, seed },
  });
  const view = new DataView((trace.final.memory["numbers"] ?? new Uint8Array(24)).slice().buffer);
  return [0, 8, 16].map((at) => view.getBigUint64(at, true));
}

function expected(seed: number): readonly bigint[] {
  const next = entropy(seed);
  return [next(), next(), BigInt.asUintN(32, next())];
}

for (const backend of BACKENDS) {
  Deno.test(`a seed makes the same random numbers on ${backend}, another seed others`, () => {
    for (const seed of [0, 7, 0xffff_ffff]) {
      assertEquals(numbers(backend, seed), expected(seed), `seed ${seed}`);
    }
    assertEquals(numbers(backend, undefined), numbers(backend, undefined));
    assertNotEquals(numbers(backend, undefined), numbers(backend, 7));
  });
}

Deno.test("several CPUs draw from one row, in the order in which they run", () => {
  const text = `
    %include "lib/smp.inc"
    start:
        start_cpus draw
        call  draw
    .wait:
        pause
        cmp   dword [rel done], 2
        jb    .wait
        hlt
    draw:
        rdrand rax
        mov   ecx, 1
        lock xadd [rel done], ecx
        lea   rdx, [rel drawn]
        mov   [rdx + rcx * 8], rax
        ret
        align 8
    done: dd 0, 0
    drawn: dq 0, 0
`;
  for (const seed of [7, 8]) {
    const trace = runProgram("full-hw", text, {
      cpus: 2,
      observe: { drawn: 16 },
      change: (image) => ({ ...image, seed }),
    });
    const view = new DataView((trace.final.memory["drawn"] ?? new Uint8Array(16)).slice().buffer);
    const next = entropy(seed);
    assertEquals([0, 8].map((at) => view.getBigUint64(at, true)), [next(), next()]);
  }
});
