// x87 instructions where they fault, or share state with others; results are the oracles' affair (../oracle/x87_oracle_test.ts
// and ../oracle/bochs_x87_test.ts).
import { assertEquals } from "@std/assert";
import { gpa } from "../../base/address.ts";
import { CR0, VECTOR } from "../../base/registers.ts";
import type { Vcpu } from "../vcpu.ts";
import { CODE, DATA, guest, IMAGE, mapWithout, poke, run } from "./testing_snippets.ts";

const FNINIT = [0xdb, 0xe3], FLD1 = [0xd9, 0xe8], FLDZ = [0xd9, 0xee], FWAIT = [0x9b];
const FDIVP = [0xde, 0xf9], FADD = [0xd8, 0xc1], FNSTSW_AX = [0xdf, 0xe0], FNCLEX = [0xdb, 0xe2];
/** Of [rsi]. */
const FLDCW = [0xd9, 0x2e], FSTP_DOUBLE = [0xdd, 0x1e], FSTP_EXTENDED = [0xdb, 0x3e];
const FISTP = [0xdf, 0x3e], FBSTP = [0xdf, 0x36], FNSTENV = [0xd9, 0x36], FLD_DOUBLE = [0xdd, 0x06];
const FLDENV = [0xd9, 0x26], FXSAVE = [0x0f, 0xae, 0x06], PADDB_MM = [0x0f, 0xfc, 0xc1];
/** FNSAVE [rdi]. */
const FNSAVE = [0xdd, 0x37];
/** EAX = 1 / 0, an exception that FLDCW has unmasked. */
const DIVIDE_BY_ZERO = [...FLD1, ...FLDZ, ...FDIVP];
const UNMASKED = 0x340;

function view(vcpu: Vcpu, at: number): DataView {
  const bytes = vcpu.memory.read(gpa(at), 512);
  return new DataView(bytes.buffer, bytes.byteOffset);
}

/** The state as FNSAVE stores it, which empties the FPU. */
function saved(vcpu: Vcpu): string {
  run(vcpu, FNSAVE);
  const image = view(vcpu, IMAGE);
  return Array.from({ length: 27 }, (_, i) => image.getUint32(4 * i, true).toString(16)).join(" ");
}

Deno.test("x87 instructions raise #NM and #MF as CR0 says, and as they wait or do not", () => {
  const { NM, MF } = VECTOR;
  const { TS, EM, MP, NE } = CR0;
  const done = "idle";
  const rows: [
    code: number[],
    name: string,
    ...expected: unknown[],
  ][] = [
    // Nothing, TS, TS without MP, EM, pending, pending without NE.
    [FLD1, "fld1", done, NM, NM, NM, MF, done],
    [FWAIT, "wait", done, NM, done, done, MF, done],
    [FNSTSW_AX, "fnstsw ax", done, NM, NM, NM, done, done],
    [FNSTENV, "fnstenv", done, NM, NM, NM, done, done],
    [FNINIT, "fninit", done, NM, NM, NM, done, done],
    [FLDENV, "fldenv", done, NM, NM, NM, MF, done],
    [FLDCW, "fldcw", done, NM, NM, NM, MF, done],
    [FSTP_DOUBLE, "fstp", done, NM, NM, NM, MF, done],
    [PADDB_MM, "paddb mm", done, NM, NM, VECTOR.UD, MF, done],
    [FXSAVE, "fxsave", done, NM, NM, NM, done, done],
  ];
  const vcpu = guest();
  const cr0 = Number(vcpu.get("cr0"));
  const states = [cr0, cr0 | TS, (cr0 | TS) & ~MP, cr0 | EM, cr0, cr0 & ~NE];
  for (const [code, name, ...expected] of rows) {
    for (const [i, state] of states.entries()) {
      // A turn of one instruction steps over it; a long one makes it part of a region.
      for (const budget of [1, 1000]) {
        vcpu.set("cr0", BigInt(cr0 >>> 0));
        poke(vcpu, DATA, UNMASKED);
        run(vcpu, [...FNINIT, ...(i >= 4 ? [...FLDCW, ...DIVIDE_BY_ZERO] : [])]);
        vcpu.set("cr0", BigInt(state >>> 0));
        assertEquals(run(vcpu, code, DATA, budget), [expected[i]], `${name}, state ${i}`);
      }
    }
  }
  vcpu.dispose();
});

Deno.test("an exception waits for the next instruction that does, and the pointers tell of its own", () => {
  const vcpu = guest();
  poke(vcpu, DATA, UNMASKED);
  const code = [...FNINIT, ...FLDCW, ...DIVIDE_BY_ZERO, ...FNSTSW_AX, ...FLD1];
  assertEquals(run(vcpu, code), [VECTOR.MF]);
  assertEquals(vcpu.get("rip"), BigInt(CODE + code.length - FLD1.length));
  // TOP is 6: nothing has been popped. ES, ZE and B.
  assertEquals(vcpu.get("rax") & 0xffffn, 0xb084n);
  run(vcpu, FNSTENV);
  const image = view(vcpu, DATA);
  assertEquals(image.getUint32(12, true), CODE + code.length - 3 * 2, "FDIVP");
  assertEquals(image.getUint16(18, true), 0x6f9, "its opcode");
  assertEquals(image.getUint16(0, true), UNMASKED);
  run(vcpu, FNSTENV);
  assertEquals(view(vcpu, DATA).getUint16(0, true), UNMASKED | 0x3f, "FNSTENV masks all");
  assertEquals(run(vcpu, [...FNCLEX, ...FLD1]), ["idle"]);
  vcpu.dispose();
});

Deno.test("a store that faults changes neither memory nor the FPU", () => {
  const vcpu = guest();
  const missing = DATA + 0x1000;
  mapWithout(vcpu, missing);
  // An inexact result is stored: PE would be set, and one register popped.
  const third = [...FNINIT, ...FLD1, ...FLD1, ...FLD1, ...FADD, 0xd8, 0xc1, 0xde, 0xf9];
  assertEquals(run(vcpu, third), ["idle"]);
  const before = saved(vcpu);
  const rows: [string, number[], number][] = [
    ["fstp m64", FSTP_DOUBLE, 8],
    ["fstp m80", FSTP_EXTENDED, 10],
    ["fistp m64", FISTP, 8],
    ["fbstp m80", FBSTP, 10],
    ["fnstenv", FNSTENV, 28],
  ];
  for (const [name, code, bytes] of rows) {
    for (const inside of [0, 1, 2, bytes - 1]) {
      for (const budget of [1, 1000]) {
        run(vcpu, third);
        poke(vcpu, missing - 12, 1, 2, 3);
        const stop = run(vcpu, code, missing - inside, budget);
        assertEquals(
          stop,
          [VECTOR.PF, 2, BigInt(missing)],
          `${name}, ${inside} bytes before the page`,
        );
        const memory = view(vcpu, missing - 12);
        assertEquals([0, 4, 8].map((at) => memory.getUint32(at, true)), [1, 2, 3], name);
        assertEquals(saved(vcpu), before, `${name}, ${inside} bytes before the page`);
      }
    }
  }
  assertEquals(run(vcpu, [...FNINIT, ...FLD_DOUBLE], missing - 4), [
    VECTOR.PF,
    0,
    BigInt(missing),
  ]);
  vcpu.dispose();
});

Deno.test("MMX registers are the FPU's physical registers, and MMX instructions end its stack", () => {
  const vcpu = guest();
  // Three numbers are pushed: 1.0 is ST(2) and physical register 7. MOVQ [rsi], mm7.
  assertEquals(run(vcpu, [...FNINIT, ...FLD1, ...FLDZ, ...FLDZ, 0x0f, 0x7f, 0x3e]), ["idle"]);
  assertEquals(view(vcpu, DATA).getBigUint64(0, true), 1n << 63n);
  run(vcpu, FXSAVE);
  const image = view(vcpu, DATA);
  assertEquals(image.getUint16(2, true), 0, "TOP is 0");
  assertEquals(image.getUint8(4), 0xff, "no register is empty");
  vcpu.dispose();
});

Deno.test("FXSAVE has ST(0) first, and FXRSTOR puts it back, whatever TOP is", () => {
  const vcpu = guest();
  assertEquals(run(vcpu, [...FNINIT, ...FLDZ, ...FLD1, ...FXSAVE]), ["idle"]);
  const image = view(vcpu, DATA);
  assertEquals(image.getUint16(32 + 8, true), 0x3fff, "ST(0) is 1.0");
  assertEquals(image.getUint16(48 + 8, true), 0, "ST(1) is 0.0");
  assertEquals(image.getUint8(4), 0xc0, "by physical register");
  // FXRSTOR; FSTP m64
  assertEquals(run(vcpu, [...FNINIT, 0x0f, 0xae, 0x0e, ...FSTP_DOUBLE]), ["idle"]);
  assertEquals(view(vcpu, DATA).getFloat64(0, true), 1);
  vcpu.dispose();
});

Deno.test("FCOMI's flags are seen by what follows, and flags before it live where it may fault", () => {
  const vcpu = guest();
  const FCOMI = [0xdb, 0xf1], SETB = [0x0f, 0x92, 0xc0], SETE = [0x0f, 0x94, 0xc1];
  // 0 against 1: less. XOR EAX, EAX; XOR ECX, ECX before, which set other flags.
  const compare = [0x31, 0xc0, 0x31, 0xc9, ...FCOMI, ...SETB, ...SETE];
  assertEquals(run(vcpu, [...FNINIT, ...FLD1, ...FLDZ, ...compare]), ["idle"]);
  assertEquals([vcpu.get("rax"), vcpu.get("rcx")], [1n, 0n]);
  // XOR EAX, EAX; FLD1, which raises #MF; ADD EAX, 1
  poke(vcpu, DATA, UNMASKED);
  vcpu.set("rax", 5n);
  const faulting = [...DIVIDE_BY_ZERO, 0x31, 0xc0, ...FLD1, 0x83, 0xc0, 1];
  assertEquals(run(vcpu, [...FNINIT, ...FLDCW, ...faulting]), [VECTOR.MF]);
  assertEquals(vcpu.get("rflags") & 0x40n, 0x40n, "ZF of the XOR");
  vcpu.dispose();
});

Deno.test("the FPU after reset has no empty register; FNINIT empties all", () => {
  const vcpu = guest();
  assertEquals(run(vcpu, FNSTENV), ["idle"]);
  const after = view(vcpu, DATA);
  assertEquals([0, 4, 8].map((at) => after.getUint16(at, true)), [0x40, 0, 0x5555]);
  run(vcpu, [...FNINIT, ...FNSTENV]);
  const initial = view(vcpu, DATA);
  assertEquals([0, 4, 8].map((at) => initial.getUint16(at, true)), [0x37f, 0, 0xffff]);
  vcpu.dispose();
});
