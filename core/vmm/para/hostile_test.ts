// Hypercalls and code without sense or with bad intent: whatever a guest does, it gets an answer or an end, never a defect of
// ours, and Xen's memory stays Xen's.
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { type Gpa, PAGE_SIZE } from "../../base/address.ts";
import { HYPERCALL } from "./abi.ts";
import { hypercallTable } from "./hypercalls/all.ts";
import { leafEntry } from "./page_tables.ts";
import { FRAME_TYPE } from "./page_types.ts";
import { SCRATCH, type TestDomain, testDomain } from "./testing.ts";
import { generator, runProgram } from "../testing_runs.ts";

const SEED = 20260802;

/** Values that hypercalls take for something: pointers, frames, commands, counts, and the edges of number. */
function argument({ domain }: TestDomain): fc.Arbitrary<bigint> {
  const top = BigInt(domain.kernelTable);
  return fc.oneof(
    fc.bigInt({ min: 0n, max: 40n }),
    fc.constantFrom(
      BigInt(SCRATCH),
      BigInt(SCRATCH + 0xff8),
      BigInt(SCRATCH / PAGE_SIZE),
      0x7ff0n,
      top,
      top / 4096n,
      top | 7n,
      BigInt(SCRATCH) | 7n,
      BigInt(domain.built.xenFrames[0] ?? 0),
      0x4000_0000n,
      0xffff_8000_0000_0000n,
      1n << 47n,
      (1n << 32n) - 1n,
      (1n << 64n) - 1n,
    ),
    fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
  );
}

/** Xen's own frames, as one string of bytes, without the GDT's table and accessed bits that are the guest's to cause. */
function xenMemory({ domain, vcpu }: TestDomain): Uint8Array[] {
  const own = domain.built.xenFrames.filter((frame) => {
    const at = frame * PAGE_SIZE;
    const m2p = at >= domain.built.m2p && at < domain.built.m2p + 8 * domain.types.frames;
    return !m2p && at !== domain.built.gdtTable;
  });
  return own.map((frame) => vcpu.memory.read(frame * PAGE_SIZE as Gpa, PAGE_SIZE));
}

Deno.test("no hypercall with any arguments throws, or touches what is Xen's", () => {
  const numbers = Object.values(HYPERCALL);
  const table = hypercallTable();
  const sample = testDomain();
  const call = fc.record({
    number: fc.constantFrom(...numbers),
    args: fc.array(argument(sample), { minLength: 5, maxLength: 5 }),
    memory: fc.array(argument(sample), { minLength: 12, maxLength: 12 }),
  });
  fc.assert(
    fc.property(fc.array(call, { minLength: 1, maxLength: 12 }), (calls) => {
      const test = testDomain();
      const before = xenMemory(test);
      for (const { number, args, memory } of calls) {
        test.put(SCRATCH, ...memory);
        test.vcpu.set("rsp", BigInt(SCRATCH));
        const { outcome } = table.call(test.domain, BigInt(number), args);
        if (outcome.do === "stop") break;
      }
      assertEquals(xenMemory(test), before);
      const { types, kernelTable } = test.domain;
      assertEquals(types.typeOf(kernelTable / PAGE_SIZE), FRAME_TYPE.l4);
    }),
    { seed: SEED, numRuns: 400 },
  );
});

Deno.test("no sequence of paging requests maps a page table or Xen's memory writable", () => {
  const random = generator(SEED);
  for (let round = 0; round < 60; round++) {
    const test = testDomain(2 << 20);
    const { domain, vcpu } = test;
    const frames = domain.types.frames;
    const anyEntry = () => {
      const linear = BigInt(random(frames) * PAGE_SIZE);
      return leafEntry(domain.memory, domain.table, linear) ?? domain.kernelTable;
    };
    for (let i = 0; i < 80; i++) {
      const entry = random(3) ? anyEntry() : random(frames) * PAGE_SIZE + 8 * random(512);
      const value = BigInt(random(frames) * PAGE_SIZE | random(256));
      test.put(0x30000, entry, value, random(20), random(frames));
      test.call("mmu_update", 0x30000, 1, 0, 0x7ff0);
      test.call("mmuext_op", 0x30010, 1, 0, 0x7ff0);
    }
    // Everything that the tables in use reach.
    const visit = (table: number, level: number) => {
      assert(domain.types.typeOf(table / PAGE_SIZE) === level, `seed ${SEED}, round ${round}`);
      for (let slot = 0; slot < (level === 4 ? 256 : 512); slot++) {
        const at = vcpu.memory.readU64(table + 8 * slot as Gpa);
        if ((at & 1n) === 0n) continue;
        const frame = Number(at >> 12n & 0xff_ffff_ffffn);
        if (level > 1) visit(frame * PAGE_SIZE, level - 1);
        else {
          assert(domain.types.owned(frame), `seed ${SEED}, round ${round}`);
          const writable = (at & 2n) !== 0n;
          if (writable) assertEquals(domain.types.typeOf(frame), FRAME_TYPE.writable);
        }
      }
    };
    visit(domain.kernelTable, 4);
  }
});

Deno.test("no bytes that a guest executes throw", () => {
  const random = generator(SEED);
  const limits = { instructions: 20_000, exits: 2_000 };
  for (let round = 0; round < 60; round++) {
    const bytes = Array.from({ length: 64 }, () => random(4) ? random(256) : 0x0f);
    // SYSCALL now and then, with registers that could be arguments.
    const at = random(56);
    bytes.splice(at, 7, 0xb8, random(40), 0, 0, 0, 0x0f, 0x05);
    const text = `start: mov rdi, ${random(4)}\n mov rsi, 0x100000\n db ${bytes}\n jmp start`;
    const { end } = runProgram("para", text, { limits });
    assert(end.kind.length > 0, `seed ${SEED}, round ${round}`);
  }
});
