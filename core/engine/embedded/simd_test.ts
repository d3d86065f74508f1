// SIMD instructions where they fault or change state that general registers do not show; results are the host oracle's
// affair (../oracle/host_oracle_test.ts).
import { assertEquals } from "@std/assert";
import { gpa } from "../../base/address.ts";
import { CR0, CR4, VECTOR } from "../../base/registers.ts";
import type { Vcpu } from "../vcpu.ts";
import { DATA, guest, mapWithout, poke, run } from "./testing_snippets.ts";

const RSI = [0x06];
const DEFAULT_MXCSR = 0x1f80;

function words(vcpu: Vcpu, at: number, count: number): string[] {
  const bytes = vcpu.memory.read(gpa(at), 4 * count);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: count }, (_, i) => view.getUint32(4 * i, true).toString(16));
}

const ADDPS = [0x0f, 0x58, 0xc1], MOVAPS_LOAD = [0x0f, 0x28, ...RSI], PADDB_MM = [0x0f, 0xfc, 0xc1];
const CRC32 = [0xf2, 0x0f, 0x38, 0xf1, 0xc1], CVTPI2PS = [0x0f, 0x2a, 0xc1];
const LDMXCSR = [0x0f, 0xae, 0x16], STMXCSR = [0x0f, 0xae, 0x1e];
const FXSAVE = [0x0f, 0xae, 0x06], FXRSTOR = [0x0f, 0xae, 0x0e], EMMS = [0x0f, 0x77];

Deno.test("SIMD instructions raise #UD and #NM as CR0 and CR4 say", () => {
  const done = "idle";
  const { UD, NM } = VECTOR;
  const rows: [
    name: string,
    code: number[],
    plain: unknown,
    off: unknown,
    em: unknown,
    ts: unknown,
  ][] = [
    ["addps", ADDPS, done, UD, UD, NM],
    ["movaps", MOVAPS_LOAD, done, UD, UD, NM],
    ["paddb mm", PADDB_MM, done, done, UD, NM],
    ["cvtpi2ps", CVTPI2PS, done, UD, UD, NM],
    ["emms", EMMS, done, done, UD, NM],
    ["crc32", CRC32, done, done, done, done],
    ["ldmxcsr", LDMXCSR, done, UD, UD, NM],
    ["stmxcsr", STMXCSR, done, UD, UD, NM],
    ["fxsave", FXSAVE, done, done, NM, NM],
    ["fxrstor", FXRSTOR, done, done, NM, NM],
  ];
  const vcpu = guest();
  const [cr0, cr4] = [vcpu.get("cr0"), vcpu.get("cr4")];
  for (const [name, code, ...expected] of rows) {
    const modes = [[cr0, cr4], [cr0, cr4 & ~BigInt(CR4.OSFXSR)], [cr0 | BigInt(CR0.EM), cr4], [
      cr0 | BigInt(CR0.TS),
      cr4,
    ]];
    for (const [i, [zero = 0n, four = 0n]] of modes.entries()) {
      vcpu.set("cr0", zero);
      vcpu.set("cr4", four);
      assertEquals(run(vcpu, code), [expected[i]], `${name}, mode ${i}`);
    }
  }
  vcpu.dispose();
});

Deno.test("aligned forms raise #GP(0) when an operand of 16 bytes is not aligned, others do not", () => {
  const vcpu = guest();
  const rows: [string, number[], unknown[]][] = [
    ["movaps", MOVAPS_LOAD, [VECTOR.GP, 0]],
    ["movups", [0x0f, 0x10, ...RSI], ["idle"]],
    ["addps", [0x0f, 0x58, ...RSI], [VECTOR.GP, 0]],
    ["movntdq", [0x66, 0x0f, 0xe7, ...RSI], [VECTOR.GP, 0]],
    ["addss", [0xf3, 0x0f, 0x58, ...RSI], ["idle"]],
    ["pcmpistri", [0x66, 0x0f, 0x3a, 0x63, ...RSI, 0], ["idle"]],
    ["fxsave", FXSAVE, [VECTOR.GP, 0]],
  ];
  for (const [name, code, expected] of rows) {
    assertEquals(run(vcpu, code, DATA + 8), expected, name);
    assertEquals(run(vcpu, code, DATA + 16), ["idle"], name);
  }
  vcpu.dispose();
});

Deno.test("16 bytes across two pages fault as a whole when the second page is missing", () => {
  const vcpu = guest();
  const missing = DATA + 0x1000, at = missing - 12;
  poke(vcpu, DATA, 0x11, 0x22, 0x33, 0x44);
  poke(vcpu, at, 1, 2, 3);
  const [load, store] = [[0x0f, 0x10, 0x0e], [0x0f, 0x11, 0x0e]];
  assertEquals(run(vcpu, load), ["idle"]);
  mapWithout(vcpu, missing);
  assertEquals(run(vcpu, store, at), [VECTOR.PF, 2, BigInt(missing)]);
  assertEquals(words(vcpu, at, 3), ["1", "2", "3"], "nothing is stored");
  assertEquals(run(vcpu, store, missing - 4), [VECTOR.PF, 2, BigInt(missing)]);
  assertEquals(run(vcpu, load, at), [VECTOR.PF, 0, BigInt(missing)]);
  assertEquals(run(vcpu, store), ["idle"]);
  assertEquals(words(vcpu, DATA, 4), ["11", "22", "33", "44"], "nothing is loaded");
  mapWithout(vcpu, 0);
  assertEquals(run(vcpu, store, at), ["idle"]);
  assertEquals(words(vcpu, at, 4), ["11", "22", "33", "44"]);
  vcpu.dispose();
});

Deno.test("LDMXCSR refuses bits that do not exist", () => {
  const vcpu = guest();
  poke(vcpu, DATA, 0x1_0000 | DEFAULT_MXCSR);
  assertEquals(run(vcpu, LDMXCSR), [VECTOR.GP, 0]);
  run(vcpu, STMXCSR);
  assertEquals(words(vcpu, DATA, 1), ["1f80"]);
  vcpu.dispose();
});

Deno.test("an unmasked exception raises #XM, or #UD without CR4.OSXMMEXCPT, and keeps the destination", () => {
  const ZM = 1 << 9, PM = 1 << 12;
  // 1 / 0 and 1 / 3 in single precision; flags ZE 4, PE 0x20.
  const rows: [name: string, divisor: number, mask: number, fault: boolean, flags: number][] = [
    ["zero divide, masked", 0, 0, false, 4],
    ["zero divide, unmasked", 0, ZM, true, 4],
    ["precision, masked", 0x40400000, 0, false, 0x20],
    ["precision, unmasked", 0x40400000, PM, true, 0x20],
    ["precision with zero divide unmasked", 0x40400000, ZM, false, 0x20],
  ];
  const vcpu = guest();
  const cr4 = vcpu.get("cr4");
  // movss xmm0, [rsi]; ldmxcsr [rsi+8]; divss xmm0, [rsi+4]
  const code = [0xf3, 0x0f, 0x10, ...RSI, 0x0f, 0xae, 0x56, 8, 0xf3, 0x0f, 0x5e, 0x46, 4];
  const store = [0xf3, 0x0f, 0x11, 0x46, 12, 0x0f, 0xae, 0x5e, 16];
  for (const [name, divisor, mask, fault, flags] of rows) {
    for (const wanted of [true, false]) {
      vcpu.set("cr4", wanted ? cr4 : cr4 & ~BigInt(CR4.OSXMMEXCPT));
      poke(vcpu, DATA, 0x3f800000, divisor, DEFAULT_MXCSR & ~mask);
      const expected = fault ? [wanted ? VECTOR.XM : VECTOR.UD] : ["idle"];
      assertEquals(run(vcpu, code), expected, name);
      run(vcpu, store);
      const [result, mxcsr] = words(vcpu, DATA + 12, 2);
      assertEquals(mxcsr, (DEFAULT_MXCSR & ~mask | flags).toString(16), name);
      assertEquals(result === "3f800000", fault, name);
    }
  }
  vcpu.dispose();
});

Deno.test("flags survive a SIMD instruction that faults between two that set them", () => {
  const vcpu = guest();
  // xor eax, eax; (faults) divps xmm0, xmm0; add eax, 1
  poke(vcpu, DATA, 0);
  assertEquals(run(vcpu, LDMXCSR), ["idle"]);
  vcpu.set("rax", 5n);
  assertEquals(run(vcpu, [0x31, 0xc0, 0x0f, 0x57, 0xc0, 0x0f, 0x5e, 0xc0, 0x83, 0xc0, 1]), [
    VECTOR.XM,
  ]);
  assertEquals(vcpu.get("rflags") & 0x40n, 0x40n, "ZF of the XOR");
  vcpu.dispose();
});

Deno.test("FXSAVE and FXRSTOR keep XMM registers, MXCSR and MMX registers", () => {
  const vcpu = guest();
  poke(vcpu, DATA, 0x11, 0x22, 0x33, 0x44, 0x3f80);
  const load = [
    ...[0x44, 0x0f, 0x10, 0x3e], // movups xmm15, [rsi]
    ...[0x0f, 0x6f, 0x1e], // movq mm3, [rsi]
    ...[0x0f, 0xae, 0x56, 0x10], // ldmxcsr [rsi + 16]
    ...[0x0f, 0xae, 0x86, 0, 1, 0, 0], // fxsave [rsi + 0x100]
    ...[0x45, 0x0f, 0x57, 0xff], // xorps xmm15, xmm15
    ...[0x0f, 0xef, 0xdb], // pxor mm3, mm3
    ...[0x0f, 0xae, 0x8e, 0, 1, 0, 0], // fxrstor [rsi + 0x100]
    ...[0x44, 0x0f, 0x11, 0x7e, 0x20], // movups [rsi + 32], xmm15
    ...[0x0f, 0x7f, 0x5e, 0x30], // movq [rsi + 48], mm3
    ...[0x0f, 0xae, 0x5e, 0x38], // stmxcsr [rsi + 56]
  ];
  assertEquals(run(vcpu, load), ["idle"]);
  assertEquals(words(vcpu, DATA + 32, 7), ["11", "22", "33", "44", "11", "22", "3f80"]);
  assertEquals(words(vcpu, DATA + 0x100 + 24, 2), ["3f80", "ffff"], "MXCSR and its mask");
  assertEquals(words(vcpu, DATA + 0x100 + 32 + 48, 3), ["11", "22", "ffff"], "mm3 in ST(3)");
  vcpu.dispose();
});
