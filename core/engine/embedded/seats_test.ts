// Several CPUs over one memory: each has its own state and translations, and all see each other's stores, to code too.
import { assertEquals } from "@std/assert";
import { gpa } from "../../base/address.ts";
import { bareImage, everyException } from "../testing.ts";
import { startBare } from "../bare_start.ts";
import type { Vcpu, VcpuConfig } from "../vcpu.ts";
import { embedded } from "./engine.ts";

const START = 0x100000, MEMORY = 0x200000;

function machine(cpus: number, code: readonly number[]): readonly Vcpu[] {
  const config: VcpuConfig = {
    memory: MEMORY,
    controls: everyException(),
    timestamp: () => 0n,
    cpuid: () => [0, 0, 0, 0],
    count: () => {},
  };
  const vcpus = embedded.createAll?.(new Array(cpus).fill(config)) ?? [];
  const placed = [{ address: START, bytes: Uint8Array.from(code) }];
  const image = bareImage({ entry: "long64", memory: MEMORY, start: START, placed });
  for (const vcpu of vcpus) startBare(vcpu, image);
  return vcpus;
}

function dispose(vcpus: readonly Vcpu[]): void {
  for (const vcpu of vcpus) vcpu.dispose();
}

function raise(): never {
  throw new Error("There is a first CPU");
}

/** A small deterministic generator: xorshift32. */
function generator(seed: number): (below: number) => number {
  let state = 2 * seed + 12345;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** `inc rax; add rbx, rax; dec rcx; jnz $-9; hlt` */
const LOOP = [0x48, 0xff, 0xc0, 0x48, 0x01, 0xc3, 0x48, 0xff, 0xc9, 0x75, 0xf5, 0xf4];

Deno.test("CPUs that take turns at any instruction end as one that ran through", () => {
  const vcpus = machine(3, LOOP);
  for (const [n, vcpu] of vcpus.entries()) {
    vcpu.set("rcx", 100n);
    vcpu.set("rax", BigInt(n));
  }
  const idle = new Set<Vcpu>();
  for (let turn = 0; idle.size < vcpus.length; turn++) {
    for (const vcpu of vcpus) {
      if (!idle.has(vcpu) && vcpu.run(1 + turn % 7).reason === "idle") idle.add(vcpu);
    }
  }
  for (const [n, vcpu] of vcpus.entries()) {
    assertEquals(vcpu.get("rax"), BigInt(n + 100));
    assertEquals(vcpu.get("rbx"), BigInt(100 * n + 5050));
    assertEquals(vcpu.retired, 401);
  }
  dispose(vcpus);
});

Deno.test("locked instructions lose nothing, wherever turns end and wherever the operand lies", () => {
  // lock inc qword [rdi]; mov eax, 1; lock xadd [rsi], rax; dec rcx; jnz; hlt
  const code = [
    ...[0xf0, 0x48, 0xff, 0x07, 0xb8, 1, 0, 0, 0],
    ...[0xf0, 0x48, 0x0f, 0xc1, 0x06, 0x48, 0xff, 0xc9, 0x75, 0xed, 0xf4],
  ];
  for (const [seed, operand] of [0x180000, 0x180ffc, 0x180fff, 0x181003].entries()) {
    const vcpus = machine(4, code);
    for (const vcpu of vcpus) {
      vcpu.set("rcx", 50n);
      vcpu.set("rdi", BigInt(operand));
      vcpu.set("rsi", BigInt(operand + 0x2000));
    }
    const next = generator(seed);
    const idle = new Set<Vcpu>();
    while (idle.size < vcpus.length) {
      const vcpu = vcpus[next(vcpus.length)];
      if (vcpu && !idle.has(vcpu) && vcpu.run(1 + next(9)).reason === "idle") idle.add(vcpu);
    }
    const { memory } = vcpus[0] ?? raise();
    assertEquals(memory.readU64(gpa(operand)), 200n, operand.toString(16));
    assertEquals(memory.readU64(gpa(operand + 0x2000)), 200n, operand.toString(16));
    dispose(vcpus);
  }
});

Deno.test("a store to code is seen by the CPU that has run it", () => {
  // mov eax, 1; hlt. The other CPU: mov byte [START + 1], 2; hlt.
  const vcpus = machine(2, [0xb8, 1, 0, 0, 0, 0xf4, 0xc6, 0x04, 0x25, 1, 0, 0x10, 0, 2, 0xf4]);
  const [first, second] = vcpus;
  if (!first || !second) throw new Error("There are two");
  const again = () => {
    first.set("rip", BigInt(START));
    assertEquals(first.run(100).reason, "idle");
    return first.get("rax");
  };
  assertEquals(again(), 1n);
  assertEquals(again(), 1n);
  second.set("rip", BigInt(START + 6));
  assertEquals(second.run(100).reason, "idle");
  assertEquals(again(), 2n);
  dispose(vcpus);
});

Deno.test("a store into a page that another CPU has made code of since is seen there", () => {
  // mov [rdi], al; hlt; nop...; mov eax, 1; hlt in the next page.
  const vcpus = machine(2, [0x88, 0x07, 0xf4]);
  const [writer, runner] = vcpus;
  if (!writer || !runner) throw new Error("There are two");
  const page = START + 0x1000;
  writer.memory.write(gpa(page), Uint8Array.of(0xb8, 1, 0, 0, 0, 0xf4));
  const store = (value: bigint) => {
    writer.set("rip", BigInt(START));
    writer.set("rdi", BigInt(page + 1));
    writer.set("rax", value);
    assertEquals(writer.run(100).reason, "idle");
  };
  const run = () => {
    runner.set("rip", BigInt(page));
    assertEquals(runner.run(100).reason, "idle");
    return runner.get("rax");
  };
  // The writer's TLB has the page, before it is code.
  store(5n);
  assertEquals(run(), 5n);
  store(6n);
  assertEquals(run(), 6n);
  dispose(vcpus);
});

Deno.test("translations are a CPU's own until it drops them", () => {
  // mov eax, [0x400000000 + ...]: a page mapped by both, remapped by the first.
  const vcpus = machine(2, [0x8b, 0x07, 0xf4]);
  const read = (vcpu: Vcpu) => {
    vcpu.set("rip", BigInt(START));
    vcpu.set("rdi", 0x180000n);
    assertEquals(vcpu.run(100).reason, "idle");
    return vcpu.get("rax");
  };
  const [first, second] = vcpus;
  if (!first || !second) throw new Error("There are two");
  first.memory.writeU32(gpa(0x180000), 7);
  assertEquals([read(first), read(second)], [7n, 7n]);
  // An empty PML4: whoever has flushed faults.
  for (let at = 0x3000; at < 0x4000; at += 8) first.memory.writeU64(gpa(at), 0n);
  assertEquals([read(first), read(second)], [7n, 7n]);
  first.flush();
  first.set("rip", BigInt(START));
  assertEquals(first.run(100).reason, "exit");
  assertEquals(read(second), 7n);
  dispose(vcpus);
});

Deno.test("PAUSE gives the turn away among several CPUs, and not alone", () => {
  // pause; hlt
  const several = machine(2, [0xf3, 0x90, 0xf4]);
  assertEquals(several[0]?.run(100).reason, "pause");
  assertEquals(several[0]?.run(100).reason, "idle");
  dispose(several);
  const alone = machine(1, [0xf3, 0x90, 0xf4]);
  assertEquals(alone[0]?.run(100).reason, "idle");
  dispose(alone);
});
