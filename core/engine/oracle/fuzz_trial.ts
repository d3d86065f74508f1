// Programs that nobody wrote: random bytes, and bytes in the shape of instructions, in every mode, on random registers,
// with tables that are partly random too. Whatever they mean, the engine must stop within the instructions granted, throw
// nothing, and write nothing but guest RAM.
import { gpa } from "../../base/address.ts";
import { CR0, CR4, GENERAL_REGISTERS, type Registers, RFLAGS } from "../../base/registers.ts";
import { treatments } from "../../cpu/sensitive_operations.ts";
import { JUMP_CACHE, JUMP_CACHE_ENTRIES, RAM } from "../../cpu/layout.ts";
import { GDT_BASE, IDT_BASE, PAGE_TABLES_BASE } from "../../guest/layout.ts";
import { Bus } from "../../machine/bus.ts";
import { ENTRIES } from "../../scenario/case.ts";
import { giveCore, takeCore } from "../embedded/core.ts";
import { embedded } from "../embedded/engine.ts";
import { bareImage, startedVcpu } from "../testing.ts";
import type { Vcpu } from "../vcpu.ts";
import { Random } from "./random.ts";

/** Not a whole number of WebAssembly's pages: what lies behind it in the last one is not the guest's. */
const MEMORY = 0x11_1000;
/** Where programs start: within the first 64 KiB, for real mode. */
const CODE = 0xc000;
const USER_CODE = 0x33, USER_DATA = 0x2b;
/** How often the engine is entered, and with how many instructions at most. */
const ENTERED = 12;
const GRANTED = 150;
/** What most of memory holds, mostly, so that a program which runs into it soon ends: HLT. */
const FILLER = 0xf4;

/** Modes in which a program starts. */
const STARTS = [...ENTRIES, "user64"] as const;

/** What became of a program. */
export interface FuzzResult {
  readonly start: typeof STARTS[number];
  /** Kinds of exit, or why it stopped, in order. */
  readonly stops: readonly string[];
  readonly retired: number;
  /** All registers at the end. */
  readonly registers: Registers;
}

/** The engine did what it must not. */
export class Breach extends Error {
  override readonly name = "Breach";
}

/** Runs program `index` of `seed`: the same every time. Throws what the engine throws, and a {@linkcode Breach}. */
export function fuzz(seed: number, index: number): FuzzResult {
  const { random, start, program } = drawn(seed, index);
  // The next vCPU of this size gets this core: what is around its RAM can be looked at.
  const core = takeCore(MEMORY);
  giveCore(core);
  const vcpu = machine(random, start === "user64" ? "long64" : start, program);
  try {
    disturb(random, vcpu, start);
    const stops = run(vcpu);
    const gap = JUMP_CACHE + 16 * JUMP_CACHE_ENTRIES;
    if (
      !isZero(core.buffer, gap, RAM) || !isZero(core.buffer, RAM + MEMORY, core.buffer.byteLength)
    ) {
      throw new Breach("Memory that is not the guest's was written");
    }
    return { start, stops, retired: vcpu.retired, registers: vcpu.registers() };
  } finally {
    vcpu.dispose();
  }
}

/** Is memory of no use untouched? */
function isZero(buffer: ArrayBuffer, from: number, to: number): boolean {
  for (const word of new Float64Array(buffer, from, (to - from) / 8)) {
    if (!Object.is(word, 0)) return false;
  }
  return true;
}

/** Mode and bytes of a program, and the numbers that follow them. */
function drawn(seed: number, index: number) {
  const random = new Random(seed * 2 ** 30 + index);
  const start = random.pick(STARTS);
  const program = random.oneIn(3) ? random.bytes(48 + random.below(80)) : shaped(random);
  return { random, start, program };
}

/** The program as hexadecimal digits: for a report. */
export function fuzzedBytes(seed: number, index: number): string {
  const { start, program } = drawn(seed, index);
  return `${start} ${program.toHex()}`;
}

const PREFIXES = [0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65];
/** Escapes to the other opcode maps, and how rare each is. */
const MAPS = [[], [], [], [0x0f], [0x0f], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]];
/** The two-byte VEX prefix, and the three-byte one for map 2. */
const VEX = [[0xc5, 0x78], [0xc4, 0xe2, 0x78], [0xc4, 0xe2, 0xf8], [0xc4, 0xe3, 0x7b]];

/** Bytes that are mostly instructions: prefixes, map, opcode, ModRM, and what may follow. */
function shaped(random: Random): Uint8Array {
  const bytes: number[] = [];
  for (let count = 4 + random.below(16); count > 0; count--) {
    if (random.oneIn(3)) bytes.push(random.pick(PREFIXES));
    if (random.oneIn(40)) bytes.push(...random.pick(VEX));
    else {
      if (random.oneIn(3)) bytes.push(0x40 + random.below(16));
      bytes.push(...random.pick(MAPS));
    }
    bytes.push(random.below(256), random.oneIn(2) ? 0xc0 | random.below(64) : random.below(256));
    for (let rest = random.below(5); rest > 0; rest--) {
      bytes.push(random.pick([0, 1, 0x7f, 0xff, random.below(256)]));
    }
  }
  return Uint8Array.from(bytes);
}

/** Everything behind the page tables, which are not as many as there is room for. */
function filler() {
  const bytes = new Uint8Array(MEMORY - CODE).fill(FILLER);
  return { address: CODE, bytes };
}

/** Vectors of real mode that lead to the filler. */
function vectors() {
  const bytes = new Uint8Array(
    new Uint16Array(512).map((_, i) => i % 2 ? 0 : CODE + 0x1000).buffer,
  );
  return { address: 0, bytes };
}

function machine(random: Random, entry: typeof ENTRIES[number], program: Uint8Array): Vcpu {
  const image = bareImage({
    entry,
    memory: MEMORY,
    start: CODE,
    placed: [
      ...(random.oneIn(8) ? [] : [filler(), vectors()]),
      { address: CODE, bytes: program },
    ],
  });
  const technique = random.pick(["bare", "translated", "intercepted"] as const);
  const table = treatments(technique);
  const vcpu: Vcpu = startedVcpu(embedded, image, {
    controls: {
      kernel: table,
      user: table,
      exceptionVia: "vm-exit",
      exceptions: random.oneIn(4) ? Number(random.u64() & 0xffff_ffffn) : 0,
      paging: technique === "intercepted" ? "nested" : "direct",
    },
    ...(technique === "bare" ? { bus: new Bus() } : {}),
    timestamp: () => BigInt(vcpu.retired),
  });
  return vcpu;
}

/** Values that addresses go wrong at. */
function pointer(random: Random): bigint {
  const edge = random.pick([
    0n,
    BigInt(MEMORY),
    BigInt(IDT_BASE),
    BigInt(PAGE_TABLES_BASE),
    BigInt(CODE),
    1n << 32n,
    0xfee0_0000n,
    1n << 47n,
    0xffff_8000_0000_0000n,
  ]);
  return BigInt.asUintN(64, edge + BigInt(random.below(64)) - 32n);
}

function disturb(random: Random, vcpu: Vcpu, start: typeof STARTS[number]): void {
  for (const name of GENERAL_REGISTERS) {
    if (name !== "rsp" || random.oneIn(8)) {
      vcpu.set(name, random.oneIn(2) ? pointer(random) : random.value());
    }
  }
  const flags = BigInt(RFLAGS.TF | RFLAGS.IF | RFLAGS.DF | RFLAGS.NT | RFLAGS.RF | RFLAGS.AC);
  if (random.oneIn(2)) {
    vcpu.set(
      "rflags",
      2n | (random.u64() & (random.oneIn(4) ? flags : 0n)) | random.u64() & 0x8d5n,
    );
  }
  const cr0 = BigInt(CR0.MP | CR0.EM | CR0.TS | CR0.NE | CR0.WP | CR0.AM);
  if (random.oneIn(3)) vcpu.set("cr0", vcpu.get("cr0") ^ random.u64() & cr0);
  const cr4 = BigInt(
    CR4.TSD | CR4.DE | CR4.PGE | CR4.PCE | CR4.UMIP | CR4.FSGSBASE | CR4.SMEP | CR4.SMAP,
  );
  const simd = BigInt(CR4.OSFXSR | CR4.OSXMMEXCPT);
  vcpu.set(
    "cr4",
    vcpu.get("cr4") | (random.oneIn(2) ? simd : 0n) | (random.oneIn(3) ? random.u64() & cr4 : 0n),
  );
  for (const table of [0x20, GDT_BASE, IDT_BASE, PAGE_TABLES_BASE, PAGE_TABLES_BASE + 0x2000]) {
    if (!random.oneIn(4)) continue;
    for (let count = random.below(6); count > 0; count--) {
      vcpu.memory.writeU64(gpa(table + 8 * random.below(64)), random.u64());
    }
  }
  if (start === "user64") {
    const base = 0n, limit = 0xffff_ffff;
    vcpu.setSegment("cs", { selector: USER_CODE, base, limit, attributes: 0xa0fb });
    for (const name of ["ss", "ds", "es"] as const) {
      vcpu.setSegment(name, { selector: USER_DATA, base, limit, attributes: 0xc0f3 });
    }
  }
  vcpu.flush();
}

/** What a VMM would do after each exit, in the simplest way. */
function run(vcpu: Vcpu): string[] {
  const stops: string[] = [];
  for (let i = 0; i < ENTERED; i++) {
    const before = vcpu.retired;
    const stop = vcpu.run(GRANTED);
    if (vcpu.retired - before > GRANTED) throw new Breach("More instructions than granted");
    stops.push(stop.reason === "exit" ? stop.exit.kind : stop.reason);
    if (stop.reason === "idle") break;
    if (stop.reason !== "exit") continue;
    const { exit } = stop;
    if (exit.kind === "triple-fault") break;
    if (exit.kind === "exception") break;
    if (exit.kind === "io") vcpu.complete(0n);
    else if (exit.kind === "mmio" || exit.kind === "ept-violation") {
      // Code where there is no RAM: no VMM could go on.
      if (exit.detail.access === "execute") break;
      vcpu.complete(0n);
    } else vcpu.skip();
  }
  return stops;
}
