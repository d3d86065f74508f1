// Addresses and branch targets that no segment or no canonical form allows, where Bochs is not asked: 64-bit code, and what
// instructions may be. Segments of other modes are ../oracle/bochs_segmentation_test.ts's.
import { assertEquals } from "@std/assert";
import { gpa } from "../../base/address.ts";
import { VECTOR } from "../../base/registers.ts";
import type { Vcpu } from "../vcpu.ts";
import { bareImage, everyException, startedVcpu } from "../testing.ts";
import { embedded } from "./engine.ts";

const MEMORY = 2 << 20;
const CODE = 0x100000, STACK = 0x140000;
const HLT = 0xf4, NOP = 0x90;
const WILD = 0x1234_5678_9abc_def0n;
const OPERAND_SIZE = 0x66;
const { GP, SS } = VECTOR;

/** Instructions a grant: the region as a whole, or each by itself. */
const GRANTS = [1000, 1];

function run(code: number[], entry: "long64" | "protected32", grant: number) {
  const image = bareImage({ entry, memory: MEMORY, start: CODE });
  const vcpu = startedVcpu(embedded, image, { controls: everyException() });
  vcpu.memory.write(gpa(CODE), Uint8Array.from([...code, HLT]));
  vcpu.memory.write(gpa(STACK), new Uint8Array(BigUint64Array.of(WILD).buffer));
  vcpu.set("rsp", BigInt(STACK));
  vcpu.set("rbp", WILD);
  vcpu.set("rax", WILD);
  const outcome = end(vcpu, grant);
  vcpu.dispose();
  return outcome;
}

/** The exception that comes, where it stands, and the stack pointer; or why else it stops. */
function end(vcpu: Vcpu, grant: number): unknown[] {
  for (let turn = 0; turn < 100; turn++) {
    const stop = vcpu.run(grant);
    if (stop.reason === "budget") continue;
    if (stop.reason !== "exit" || stop.exit.kind !== "exception") return [stop.reason];
    const { vector, errorCode } = stop.exit.detail;
    return [vector, errorCode, Number(vcpu.get("rip")) - CODE, Number(vcpu.get("rsp")) - STACK];
  }
  return ["endless"];
}

const ROWS: readonly [name: string, code: number[], vector: number, at: number][] = [
  ["jmp rax", [NOP, 0xff, 0xe0], GP, 1],
  ["call rax", [NOP, 0xff, 0xd0], GP, 1],
  ["ret", [NOP, NOP, 0xc3], GP, 2],
  ["ret 16", [0xc2, 16, 0], GP, 0],
  ["jmp [rsp]", [0xff, 0x24, 0x24], GP, 0],
  ["mov ecx, [rax]", [NOP, 0x8b, 0x08], GP, 1],
  ["mov [rbp], ecx", [NOP, 0x89, 0x4d, 0], SS, 1],
  ["mov ecx, ds:[rbp]", [0x3e, 0x8b, 0x4d, 0], SS, 0],
  ["add [rbp], ecx", [0x01, 0x4d, 0], SS, 0],
  ["movups xmm0, [rbp]", [0x0f, 0x10, 0x45, 0], SS, 0],
  ["leave", [0xc9], SS, 0],
];

for (const [name, code, vector, at] of ROWS) {
  Deno.test(`${name} faults by itself and changes nothing when the address is not canonical`, () => {
    for (const grant of GRANTS) assertEquals(run(code, "long64", grant), [vector, 0, at, 0]);
  });
}

Deno.test("instructions have fifteen bytes at most", () => {
  for (const entry of ["long64", "protected32"] as const) {
    for (const grant of GRANTS) {
      const nop = (prefixes: number) => [...Array(prefixes).fill(OPERAND_SIZE), NOP];
      assertEquals(run(nop(14), entry, grant), ["idle"]);
      assertEquals(run(nop(15), entry, grant), [GP, 0, 0, 0]);
      // UD2 is invalid whatever follows.
      assertEquals(run([0x0f, 0x0b], entry, grant).slice(0, 1), [VECTOR.UD]);
    }
  }
});

Deno.test("accesses of 32-bit code go round at 4 GiB, where the segment has all of them, however they are done", () => {
  const FIRST = 0x1122_3344, DEVICE = 0xffff;
  const around: readonly [name: string, code: number[], rax: bigint][] = [
    ["mov eax, [0xfffffffe]", [0xa1, 0xfe, 0xff, 0xff, 0xff], 0x3344_ffffn],
    ["add eax, [0xfffffffe]", [0x31, 0xc0, 0x03, 0x05, 0xfe, 0xff, 0xff, 0xff], 0x3344_ffffn],
    // Done in TypeScript: the upper byte of the selector, 0, goes to address 0.
    ["sldt [0xffffffff]; mov eax, [0]", [
      ...[0x0f, 0x00, 0x05, 0xff, 0xff, 0xff, 0xff],
      ...[0xa1, 0, 0, 0, 0],
    ], 0x1122_3300n],
  ];
  for (const [name, code, rax] of around) {
    for (const grant of GRANTS) {
      const image = bareImage({ entry: "protected32", memory: MEMORY, start: CODE });
      const vcpu = startedVcpu(embedded, image, { controls: everyException() });
      vcpu.memory.write(gpa(0), new Uint8Array(Uint32Array.of(FIRST).buffer));
      vcpu.memory.write(gpa(CODE), Uint8Array.from([...code, HLT]));
      for (;;) {
        const stop = vcpu.run(grant);
        if (stop.reason === "idle") break;
        if (stop.reason === "budget") continue;
        assertEquals(stop.reason === "exit" && stop.exit.kind, "mmio", name);
        vcpu.complete(BigInt(DEVICE));
      }
      assertEquals(vcpu.get("rax"), rax, name);
      vcpu.dispose();
    }
  }
});
