// XSAVE and its kin where they fault, on the engine: by which exception of several, and that nothing has changed then. What
// they do when they don't, the host's CPU tells (../oracle/host_state_test.ts).
import { assertEquals } from "@std/assert";
import { gpa } from "../../base/address.ts";
import { CR0, CR4, VECTOR } from "../../base/registers.ts";
import { bareImage, everyException, startedVcpu } from "../testing.ts";
import type { Vcpu } from "../vcpu.ts";
import { embedded } from "./engine.ts";

const CODE = 0x100000, DATA = 0x120000, TABLES = 0x180000, KEPT = 0x130000;
const AREA_BYTES = 576, HEADER = 512;
const PRESENT_WRITABLE = 3, PRESENT = 1;
const HLT = 0xf4;
/** Of [rsi]. */
const XSAVE = [0x0f, 0xae, 0x26], XRSTOR = [0x0f, 0xae, 0x2e];
const XSAVEC = [0x0f, 0xc7, 0x26], XSAVEOPT = [0x0f, 0xae, 0x36];
const FXSAVE = [0x0f, 0xae, 0x06], FXRSTOR = [0x0f, 0xae, 0x0e];
const SAVES = { XSAVE, XSAVEC, XSAVEOPT }, ALL = { ...SAVES, XRSTOR };
/** FXSAVE [rdi]. */
const KEEP = [0x0f, 0xae, 0x07];
/** movups xmm5, [rdi]. */
const LOAD_XMM5 = [0x0f, 0x10, 0x2f];

function guest(): Vcpu {
  const image = bareImage({ entry: "long64", memory: 2 << 20, start: CODE });
  const vcpu = startedVcpu(embedded, image, { controls: everyException() });
  vcpu.set("cr4", vcpu.get("cr4") | BigInt(CR4.OSFXSR | CR4.OSXSAVE));
  vcpu.set("rcx", 0n);
  assertEquals(run(vcpu, [0x0f, 0x01, 0xd1]), ["idle"], "XSETBV");
  return vcpu;
}

/** Runs code, asking for x87 and SSE, to its HLT, or to its fault: vector, error code, address. */
function run(vcpu: Vcpu, code: readonly number[], rsi = DATA): unknown[] {
  vcpu.memory.write(gpa(CODE), Uint8Array.from([...code, HLT]));
  vcpu.set("rip", BigInt(CODE));
  vcpu.set("rsi", BigInt(rsi));
  vcpu.set("rdi", BigInt(KEPT));
  vcpu.set("rax", 3n);
  vcpu.set("rdx", 0n);
  const stop = vcpu.run(100);
  if (stop.reason !== "exit" || stop.exit.kind !== "exception") return [stop.reason];
  const { vector, errorCode, address } = stop.exit.detail;
  return [vector, errorCode, address].filter((value) => value !== undefined);
}

/** The first 2 MiB by pages of 4 KiB, one of them with other rights. */
function map(vcpu: Vcpu, page: number, rights: number): void {
  const put = (at: number, value: number) =>
    vcpu.memory.write(gpa(at), new Uint8Array(BigUint64Array.of(BigInt(value)).buffer));
  for (let level = 0; level < 3; level++) {
    put(TABLES + 0x1000 * level, TABLES + 0x1000 * (level + 1) | PRESENT_WRITABLE);
  }
  for (let at = 0; at < 2 << 20; at += 0x1000) {
    put(TABLES + 0x3000 + at / 512, at === page ? at | rights : at | PRESENT_WRITABLE);
  }
  vcpu.set("cr3", BigInt(TABLES));
}

const bytesAt = (vcpu: Vcpu, at: number, count: number) => [...vcpu.memory.read(gpa(at), count)];

Deno.test("an area whose second page is missing faults as a whole: XSAVE and its kin store nothing", () => {
  const missing = DATA + 0x1000, at = missing - 0x200;
  for (const [name, code] of Object.entries(SAVES)) {
    const vcpu = guest();
    map(vcpu, missing, 0);
    vcpu.memory.write(gpa(at), new Uint8Array(0x200).fill(0xa5));
    assertEquals(run(vcpu, code, at), [VECTOR.PF, 2, BigInt(missing)], name);
    assertEquals(bytesAt(vcpu, at, 0x200).every((byte) => byte === 0xa5), true, name);
    map(vcpu, missing, PRESENT);
    vcpu.set("cr0", vcpu.get("cr0") | BigInt(CR0.WP));
    assertEquals(run(vcpu, code, at), [VECTOR.PF, 3, BigInt(missing)], `${name}, read-only`);
    assertEquals(bytesAt(vcpu, at, 0x200).every((byte) => byte === 0xa5), true, name);
    map(vcpu, missing, PRESENT_WRITABLE);
    assertEquals(run(vcpu, code, at), ["idle"], name);
    vcpu.dispose();
  }
});

Deno.test("XRSTOR from an area whose second page is missing loads nothing; read-only will do", () => {
  const vcpu = guest();
  const missing = DATA + 0x1000, at = missing - 0x200;
  vcpu.memory.write(gpa(at), new Uint8Array(AREA_BYTES));
  vcpu.memory.write(gpa(KEPT), new Uint8Array(512).fill(7));
  assertEquals(run(vcpu, [...LOAD_XMM5, ...KEEP]), ["idle"]);
  const before = bytesAt(vcpu, KEPT, 512);
  map(vcpu, missing, 0);
  assertEquals(run(vcpu, XRSTOR, at), [VECTOR.PF, 0, BigInt(missing)]);
  assertEquals(run(vcpu, KEEP), ["idle"]);
  assertEquals(bytesAt(vcpu, KEPT, 512), before);
  map(vcpu, missing, PRESENT);
  vcpu.set("cr0", vcpu.get("cr0") | BigInt(CR0.WP));
  assertEquals(run(vcpu, [...XRSTOR, ...KEEP], at), ["idle"]);
  assertEquals(bytesAt(vcpu, KEPT + 240, 16), new Array(16).fill(0), "XMM5 is initial");
  vcpu.dispose();
});

Deno.test("what is wrong first: #UD, then #NM, then #GP for alignment or no address, then #PF", () => {
  const absent = DATA + 0x1000;
  for (const [name, code] of Object.entries(ALL)) {
    const vcpu = guest();
    map(vcpu, absent, 0);
    const cr0 = vcpu.get("cr0"), cr4 = vcpu.get("cr4");
    const write = code === XRSTOR ? 0 : 2;
    assertEquals(run(vcpu, code, absent), [VECTOR.PF, write, BigInt(absent)], name);
    for (const off of [1, 8, 16, 32]) {
      assertEquals(run(vcpu, code, absent + off), [VECTOR.GP, 0], `${name}, misaligned by ${off}`);
    }
    vcpu.set("cr0", cr0 | BigInt(CR0.TS));
    assertEquals(run(vcpu, code, absent + 1), [VECTOR.NM], name);
    vcpu.set("cr4", cr4 & ~BigInt(CR4.OSXSAVE));
    assertEquals(run(vcpu, code, absent + 1), [VECTOR.UD], name);
    vcpu.set("cr0", cr0);
    assertEquals(run(vcpu, code), [VECTOR.UD], name);
    vcpu.set("cr4", cr4);
    assertEquals(run(vcpu, [0xf0, ...code]), [VECTOR.UD], `lock ${name}`);
    // Not by CR0.EM: that is FXSAVE's (SDM vol. 1, 13.5.1).
    vcpu.set("cr0", cr0 | BigInt(CR0.EM));
    vcpu.memory.write(gpa(DATA), new Uint8Array(AREA_BYTES));
    assertEquals(run(vcpu, code), ["idle"], `${name} with CR0.EM`);
    vcpu.dispose();
  }
});

Deno.test("FXSAVE and FXRSTOR: #NM, then #GP for alignment, then #PF; nothing has changed", () => {
  const absent = DATA + 0x1000;
  for (const [code, write] of [[FXSAVE, 2], [FXRSTOR, 0]] as const) {
    const vcpu = guest();
    map(vcpu, absent, 0);
    assertEquals(run(vcpu, code, absent), [VECTOR.PF, write, BigInt(absent)]);
    const at = absent - 256;
    vcpu.memory.write(gpa(at), new Uint8Array(256).fill(0xa5));
    assertEquals(run(vcpu, code, at), [VECTOR.PF, write, BigInt(absent)]);
    assertEquals(bytesAt(vcpu, at, 256).every((byte) => byte === 0xa5), true);
    assertEquals(run(vcpu, code, absent + 8), [VECTOR.GP, 0]);
    const cr0 = vcpu.get("cr0");
    for (const flag of [CR0.TS, CR0.EM]) {
      vcpu.set("cr0", cr0 | BigInt(flag));
      assertEquals(run(vcpu, code, absent + 8), [VECTOR.NM]);
    }
    vcpu.dispose();
  }
});

Deno.test("XRSTOR refuses every bit of the header that is reserved, and loads nothing then", () => {
  const vcpu = guest();
  const put = (at: number, value: bigint) =>
    vcpu.memory.write(gpa(DATA + at), new Uint8Array(BigUint64Array.of(value).buffer));
  const clear = () => vcpu.memory.write(gpa(DATA), new Uint8Array(AREA_BYTES));
  vcpu.memory.write(gpa(KEPT), new Uint8Array(512).fill(7));
  run(vcpu, [...LOAD_XMM5, ...KEEP]);
  const before = bytesAt(vcpu, KEPT, 512);
  const compacted = 1n << 63n | 3n;
  for (let bit = 0n; bit < 64n; bit++) {
    const standard: [number, bigint][] = [[HEADER + 8, 1n << bit], [HEADER + 16, 1n << bit]];
    if (bit === 63n) standard.shift();
    if (bit > 1n) standard.push([HEADER, 1n << bit]);
    for (const [at, value] of standard) {
      clear();
      put(at, value);
      assertEquals(run(vcpu, XRSTOR), [VECTOR.GP, 0], `bit ${bit} at ${at}`);
    }
    for (let at = HEADER + 16; at < AREA_BYTES; at += 8) {
      clear();
      put(HEADER + 8, compacted);
      put(at, 1n << bit);
      assertEquals(run(vcpu, XRSTOR), [VECTOR.GP, 0], `compacted, bit ${bit} at ${at}`);
    }
    if (bit > 1n && bit < 63n) {
      clear();
      put(HEADER + 8, compacted | 1n << bit);
      assertEquals(run(vcpu, XRSTOR), [VECTOR.GP, 0], `compacted with component ${bit}`);
    }
  }
  // The rest of the standard form's header is not looked at (SDM vol. 1, 13.8.1).
  assertEquals(run(vcpu, KEEP), ["idle"]);
  assertEquals(bytesAt(vcpu, KEPT, 512), before);
  clear();
  for (let at = HEADER + 24; at < AREA_BYTES; at += 8) put(at, ~0n & 0xffff_ffff_ffff_ffffn);
  assertEquals(run(vcpu, XRSTOR), ["idle"]);
  vcpu.dispose();
});

Deno.test("XSAVEC writes two fields of its header and leaves the others alone", () => {
  const vcpu = guest();
  vcpu.memory.write(gpa(DATA), new Uint8Array(AREA_BYTES).fill(0xa5));
  assertEquals(run(vcpu, XSAVEC), ["idle"]);
  assertEquals(bytesAt(vcpu, DATA + HEADER + 8, 8), [3, 0, 0, 0, 0, 0, 0, 0x80]);
  assertEquals(bytesAt(vcpu, DATA + HEADER + 16, 48), new Array(48).fill(0xa5));
  vcpu.dispose();
});

Deno.test("EMMS empties the FPU's registers, and their top is 0", () => {
  const vcpu = guest();
  // FNINIT; FLD1; FLDZ; EMMS
  assertEquals(run(vcpu, [0xdb, 0xe3, 0xd9, 0xe8, 0xd9, 0xee, 0x0f, 0x77, ...KEEP]), ["idle"]);
  assertEquals(bytesAt(vcpu, KEPT, 6), [0x7f, 0x03, 0, 0, 0, 0]);
  vcpu.dispose();
});
