// Instructions that move the state of x87 and SSE to memory and back (FXSAVE, XSAVE and their kin, LDMXCSR, STMXCSR, EMMS)
// against the CPU under this process: FXRSTOR loads a random state before each, FXSAVE stores it afterwards. This CPU has more
// state components than the engine: they are never asked for.
import { Code } from "iced-x86";
import { gpa } from "../../base/address.ts";
import { hexBytes } from "../../base/hex.ts";
import { CR4, GENERAL_REGISTERS } from "../../base/registers.ts";
import { embedded } from "../embedded/engine.ts";
import { bareImage, everyException, startedVcpu } from "../testing.ts";
import type { Vcpu } from "../vcpu.ts";
import { isSame, nameOf } from "./encodings.ts";
import { HostCpu, type HostResult, type HostState } from "./host_cpu.ts";
import { PLACE } from "./host_stub.ts";
import { Random } from "./random.ts";

interface StateForm {
  readonly code: Code;
  /** Behind REX.W, if there is one; an operand in memory is [esi] or [rsi]. */
  readonly bytes: readonly number[];
  /** In 64-bit code alone. */
  readonly wide?: true;
}

const REX_W = 0x48;
/** ModRM: reg is part of the opcode, rm is [rsi]. */
const group = (reg: number) => reg << 3 | 6;
const FORMS: readonly StateForm[] = [
  { code: Code.Fxsave_m512byte, bytes: [0x0f, 0xae, group(0)] },
  { code: Code.Fxsave64_m512byte, bytes: [REX_W, 0x0f, 0xae, group(0)], wide: true },
  { code: Code.Fxrstor_m512byte, bytes: [0x0f, 0xae, group(1)] },
  { code: Code.Fxrstor64_m512byte, bytes: [REX_W, 0x0f, 0xae, group(1)], wide: true },
  { code: Code.Ldmxcsr_m32, bytes: [0x0f, 0xae, group(2)] },
  { code: Code.Stmxcsr_m32, bytes: [0x0f, 0xae, group(3)] },
  { code: Code.Xsave_mem, bytes: [0x0f, 0xae, group(4)] },
  { code: Code.Xsave64_mem, bytes: [REX_W, 0x0f, 0xae, group(4)], wide: true },
  { code: Code.Xrstor_mem, bytes: [0x0f, 0xae, group(5)] },
  { code: Code.Xrstor64_mem, bytes: [REX_W, 0x0f, 0xae, group(5)], wide: true },
  { code: Code.Xsaveopt_mem, bytes: [0x0f, 0xae, group(6)] },
  { code: Code.Xsaveopt64_mem, bytes: [REX_W, 0x0f, 0xae, group(6)], wide: true },
  { code: Code.Xsavec_mem, bytes: [0x0f, 0xc7, group(4)] },
  { code: Code.Xsavec64_mem, bytes: [REX_W, 0x0f, 0xc7, group(4)], wide: true },
  { code: Code.Emms, bytes: [0x0f, 0x77] },
];

/** Codes that are tried. */
export const stateCodes = (): ReadonlySet<number> => new Set<number>(FORMS.map(({ code }) => code));

/** In scratch memory: the state before and after, the operand, and this process's MXCSR. */
const BEFORE = 0, AFTER = 512, AREA = 1088, OWN_MXCSR = 1792, MEMORY = 1800;
const IMAGE_BYTES = 512, AREA_BYTES = 640;
/** Parts of images (SDM vol. 1, table 10-2 and 13.4.2). */
const CONTROL = 0, STATUS = 2, TAGS = 4, OPCODE = 6, POINTERS = 8, MXCSR = 24, MXCSR_MASK = 28;
const REGISTERS = 32, XMM = 160, HEADER = 512, XCOMP_BV = 520, RESERVED = 528;
const DEFAULT_MXCSR = 0x1f80;
const RAX = 0, RDX = 2, RSI = 6;
const HLT = 0xf4;
const STATUS_FLAGS = 0x8d5n;
/** Bits of MXCSR from here on no processor has; bit 17 is AMD's. */
const FIRST_UNKNOWN = 18;
/** Bits of XCR0 and of a header that no processor has had yet. */
const NO_COMPONENT = 0x7fff_ffff_fff0_0000n;

/** ModRM and what follows it of an absolute address, in code of either size. */
function absolute(bits: 32 | 64, register: number, offset: number): number[] {
  const at = PLACE.scratch + offset;
  const address = [at & 255, at >> 8 & 255, at >> 16 & 255, at >>> 24];
  return bits === 64 ? [register << 3 | 4, 0x25, ...address] : [register << 3 | 5, ...address];
}

/** LDMXCSR of this process's own, FNINIT: what it goes on with. */
const cleanUp = (bits: 32 | 64) => [0x0f, 0xae, ...absolute(bits, 2, OWN_MXCSR), 0xdb, 0xe3];

function program(bits: 32 | 64, form: StateForm): Uint8Array {
  const wide = bits === 64 ? [REX_W] : [];
  return Uint8Array.from([
    ...wide,
    ...[0x0f, 0xae, ...absolute(bits, 1, BEFORE)],
    ...form.bytes,
    ...wide,
    ...[0x0f, 0xae, ...absolute(bits, 0, AFTER)],
    ...cleanUp(bits),
  ]);
}

/** Is an exception unmasked? AMD's processors keep its pointers then alone (AMD64 manual vol. 2, 11.4.4). */
const isPending = (view: DataView, at: number) =>
  (view.getUint16(at + STATUS, true) & ~view.getUint16(at + CONTROL, true) & 0x3f) !== 0;

/** Canonical, whatever the number of bits. */
const pointer = (random: Random) => BigInt.asUintN(64, BigInt.asIntN(47, random.u64()));

/** An image that FXRSTOR takes, mostly not that of an initialized FPU. */
function putImage(view: DataView, at: number, random: Random, mxcsr: number): void {
  for (let i = 0; i < IMAGE_BYTES; i += 8) view.setBigUint64(at + i, random.u64(), true);
  view.setUint16(at + CONTROL, random.oneIn(3) ? 0x37f : random.below(0x10000), true);
  view.setUint16(at + STATUS, random.below(0x10000), true);
  view.setUint16(at + TAGS, random.pick([0, 0xff, random.below(256)]), true);
  view.setUint16(at + OPCODE, random.below(0x800), true);
  view.setBigUint64(at + POINTERS, pointer(random), true);
  view.setBigUint64(at + POINTERS + 8, pointer(random), true);
  view.setUint32(at + MXCSR, mxcsr, true);
  // Sometimes as after a reset: all of it, or all but one thing.
  const clear = (from: number, to: number) => {
    for (let i = from; i < to; i += 8) view.setBigUint64(at + i, 0n, true);
  };
  if (random.oneIn(3)) {
    clear(0, 24);
    clear(REGISTERS, XMM);
    view.setUint16(at + CONTROL, 0x37f, true);
    if (random.oneIn(3)) view.setUint8(at + random.below(8), 1);
  }
  if (!isPending(view, at)) {
    view.setUint16(at + OPCODE, 0, true);
    clear(POINTERS, 24);
  }
  if (random.oneIn(3)) {
    clear(XMM, 416);
    if (random.oneIn(3)) view.setUint8(at + XMM + random.below(256), 1);
  }
}

/** The operand: an image with a header that is right mostly. */
function putArea(view: DataView, at: number, { code }: StateForm, random: Random): void {
  const unknown = random.oneIn(10) ? 1 << FIRST_UNKNOWN + random.below(14) : 0;
  const mxcsr = (random.below(0x10000) | unknown) >>> 0;
  for (let i = IMAGE_BYTES; i < AREA_BYTES; i += 8) view.setBigUint64(at + i, random.u64(), true);
  putImage(view, at, random, mxcsr);
  if (isSame(code, Code.Ldmxcsr_m32)) view.setUint32(at, mxcsr, true);
  if (random.oneIn(12)) return;
  const bad = () => random.oneIn(20) ? 1n << BigInt(20 + random.below(43)) : 0n;
  const format = BigInt(random.below(4));
  const compacted = random.oneIn(2);
  const present = compacted && random.below(8)
    ? BigInt(random.below(4)) & format
    : BigInt(random.below(4));
  view.setBigUint64(at + HEADER, present | bad(), true);
  view.setBigUint64(at + XCOMP_BV, compacted ? 1n << 63n | format | bad() : bad(), true);
  for (let i = RESERVED; i < 576; i += 8) view.setBigUint64(at + i, bad(), true);
}

function randomState(form: StateForm, bits: 32 | 64, random: Random): HostState {
  const memory = new Uint8Array(MEMORY);
  const view = new DataView(memory.buffer);
  // With exceptions masked: what faults returns to this process with it.
  putImage(view, BEFORE, random, DEFAULT_MXCSR | random.below(0x10000));
  // In 32-bit code the upper eight registers are what this process has left there: the CPU counts them among what is in use.
  if (bits === 32) view.setUint8(BEFORE + XMM, 1);
  const misplaced = random.oneIn(10) ? random.pick([1, 2, 4, 8, 16, 32]) : 0;
  putArea(view, AREA + misplaced, form, random);
  view.setUint32(OWN_MXCSR, DEFAULT_MXCSR, true);
  const registers = GENERAL_REGISTERS.map(() => random.u64());
  registers[RSI] = BigInt(PLACE.scratch + AREA + misplaced);
  const mask = BigInt(random.below(8) ? 3 : random.below(4)) | random.u64() & NO_COMPONENT;
  registers[RAX] = mask & 0xffff_ffffn | (form.wide ? random.u64() & ~0xffff_ffffn : 0n);
  registers[RDX] = mask >> 32n;
  return { registers, flags: 2n | 0x200n | random.u64() & STATUS_FLAGS, memory };
}

function guest(bits: 32 | 64): Vcpu {
  const entry = bits === 64 ? "long64" : "protected32";
  const image = bareImage({ entry, memory: 2 << 20, start: PLACE.code });
  const vcpu = startedVcpu(embedded, image, { controls: everyException() });
  vcpu.set("cr4", vcpu.get("cr4") | BigInt(CR4.OSFXSR | CR4.OSXMMEXCPT | CR4.OSXSAVE));
  // XSETBV: XCR0 has x87 and SSE.
  vcpu.memory.write(gpa(PLACE.code), Uint8Array.of(0x0f, 0x01, 0xd1, HLT));
  for (const [name, value] of [["rax", 3n], ["rdx", 0n], ["rcx", 0n]] as const) {
    vcpu.set(name, value);
  }
  vcpu.set("rip", BigInt(PLACE.code));
  vcpu.run(2);
  return vcpu;
}

function runGuest(vcpu: Vcpu, at: number, code: Uint8Array, state: HostState): HostResult {
  vcpu.memory.write(gpa(at), Uint8Array.from([...code, HLT]));
  vcpu.memory.write(gpa(PLACE.scratch), state.memory);
  GENERAL_REGISTERS.forEach((name, i) => vcpu.set(name, state.registers[i] ?? 0n));
  vcpu.set("rflags", state.flags);
  vcpu.set("rip", BigInt(at));
  const stop = vcpu.run(100);
  const rip = Number(vcpu.get("rip"));
  const exception = stop.reason === "exit" && stop.exit.kind === "exception"
    ? stop.exit.detail.vector
    : undefined;
  return {
    registers: GENERAL_REGISTERS.map((name) => vcpu.get(name)),
    flags: vcpu.get("rflags"),
    memory: vcpu.memory.read(gpa(PLACE.scratch), MEMORY),
    end: rip === at + code.length + 1 ? "next" : { vector: exception ?? -1, rip },
  };
}

/** The mask of MXCSR's bits is the processor's own: there are two images. */
const isMask = (offset: number, operand: number) =>
  [AFTER, operand].some((image) => offset - image >= MXCSR_MASK && offset - image < MXCSR_MASK + 4);

function differences(
  bits: 32 | 64,
  state: HostState,
  expected: HostResult,
  actual: HostResult,
): string[] {
  const operand = Number(state.registers[RSI]) - PLACE.scratch;
  const show = (end: HostResult["end"]) =>
    typeof end === "string" ? end : `exception ${end.vector} at ${end.rip.toString(16)}`;
  const wrong: string[] = [];
  if (show(expected.end) !== show(actual.end)) {
    return [`ends by ${show(actual.end)}, not ${show(expected.end)}`];
  }
  for (let i = 0; i < (bits === 64 ? 16 : 8); i++) {
    const [x, y] = [expected, actual].map((r) => BigInt.asUintN(bits, r.registers[i] ?? 0n));
    if (x !== y) {
      wrong.push(`${GENERAL_REGISTERS[i]} is ${y?.toString(16)}, not ${x?.toString(16)}`);
    }
  }
  if ((expected.flags ^ actual.flags) & STATUS_FLAGS) wrong.push("flags differ");
  for (let at = 0; at < MEMORY; at++) {
    if (expected.memory[at] === actual.memory[at] || isMask(at, operand)) continue;
    const from = at & ~7;
    const [x, y] = [expected, actual].map(({ memory }) => hexBytes(memory.slice(from, from + 8)));
    wrong.push(`${placeName(from)} is ${y}, not ${x}`);
    at = from + 7;
  }
  return wrong;
}

const placeName = (at: number) =>
  at >= AREA ? `operand + ${at - AREA}` : at >= AFTER ? `state + ${at - AFTER}` : `before + ${at}`;

/** What was tried; the first difference of each form. */
export interface StateTally {
  readonly forms: number;
  readonly states: number;
  readonly faults: number;
  readonly mismatches: readonly string[];
}

/** Tries every form on so many random states, in 64-bit and in 32-bit code. */
export function runStates(states: number, seed: number): StateTally {
  using host = new HostCpu();
  const random = new Random(seed);
  const mismatches: string[] = [];
  let tried = 0, faults = 0, forms = 0;
  for (const bits of [64, 32] as const) {
    const vcpu = guest(bits);
    for (const [number, form] of FORMS.entries()) {
      if (form.wide && bits !== 64) continue;
      forms++;
      const at = PLACE.code + 256 * (number + 1);
      const code = program(bits, form);
      let found = false;
      for (let i = 0; i < states; i++) {
        const state = randomState(form, bits, random);
        const actual = runGuest(vcpu, at, code, state);
        const wrong = () => {
          const expected = host.run({ bits, at, code }, state);
          if (typeof expected.end === "object") {
            faults++;
            host.run({ bits, at, code: Uint8Array.from(cleanUp(bits)) }, state);
          }
          return differences(bits, state, expected, actual);
        };
        tried++;
        // A switch to another process may lose the FPU's pointers: it is not met twice.
        if (wrong().length === 0) continue;
        const second = wrong();
        if (second.length === 0 || found) continue;
        found = true;
        mismatches.push(
          [
            `${nameOf(form.code)} in ${bits}-bit code, state ${i}, seed ${seed}`,
            ...second,
            `mask ${state.registers[RAX]?.toString(16)} before ${
              hexBytes(state.memory.slice(0, 32), " ")
            } header ${hexBytes(state.memory.slice(AREA + HEADER, AREA + 576), " ")}`,
          ].join("\n  "),
        );
      }
    }
    vcpu.dispose();
  }
  return { forms, states: tried, faults, mismatches };
}
