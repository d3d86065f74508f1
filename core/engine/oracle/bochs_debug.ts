// Random trials of debug exceptions, for Bochs: breakpoints of all kinds over a short program, single-stepping, RF, general
// detect, alignment checks. The handler keeps a log in memory and returns, with or without RF; the last one ends the trial.
import { RFLAGS } from "../../base/registers.ts";
import { assemble, sourceOfFile } from "../../guest/asm/assemble.ts";
import { trialKernel } from "./bochs_kernel.ts";
import { KERNEL, KERNEL_SELECTOR } from "./bochs_layout.ts";
import { type BochsTrial, END, gateBytes } from "./bochs_trials.ts";
import type { Random } from "./random.ts";

const AREA = KERNEL.areas[0].start;
const CODE = AREA + 0x100, DATA = AREA + 0x1000;
/** Not in what is compared, nor near other stacks: flags that are pushed there may differ in RF. */
const TOP = KERNEL.stack - 0xc00;
/** Segments of virtual-8086 mode: stack, code and data are in reach. */
const LOW = 0x8000;
/** In the tables, so that the log is compared. */
const SETUP = KERNEL.free, HANDLER = KERNEL.free + 0x100, LEFT = KERNEL.free + 0x300;
const LOG_END = LEFT + 4, LOG = LEFT + 0x20;
const DEBUG = 1, NOP = 0x90;
/** Nothing listens there, and nothing is printed. */
const PORT = 0x81;
const CR0_AM = 1 << 18, CR4_DE = 8, DR6_CLEAR = 0xffff_0ff0, GD = 0x2000, BS = 0x4000;
const { TF, RF, AC } = RFLAGS;
const setFlags = (flags: number) => `pushfd; or dword [esp], ${flags}; popfd`;

/** Instructions at any level. EBX, ESI and EDI point to data, EBP to the stack. */
const ANYWHERE: readonly string[] = [
  "nop",
  "inc eax",
  "mov [ebx], eax",
  "mov edx, [ebx + 1]",
  "mov ax, [ebx + 3]",
  "add [ebx + 2], ecx",
  "add word [ebx + 4], 5",
  "cmp byte [ebx + 5], 7",
  "xchg [ebx + 4], edx",
  "cmpxchg [ebx], edx",
  "bts dword [ebx], 9",
  "push eax",
  "pop edx",
  "push dword [ebx + 4]",
  "pop dword [ebx]",
  "movsb",
  "movsd",
  "lodsw",
  "cmpsb",
  "fnstcw [ebx]",
  "movq mm0, [ebx]; movq [ebx + 8], mm0",
  "call $ + 5",
  "jmp $ + 2",
  "pushfd; popfd",
  setFlags(TF),
  setFlags(RF),
  `pushfd; and dword [esp], ~${TF}; popfd`,
  "call $ + 6; nop; add dword [esp], 6; ret",
  "pushad; add esp, 32",
  "cmpxchg8b [ebx]",
  "xlatb",
  `mov dx, ${PORT}; out dx, al`,
  `mov edx, ${PORT - 1}; out dx, ax`,
  `out ${PORT}, eax`,
  "sahf",
];
/** General detect, at level 0. */
const GUARDING: readonly string[] = [`mov edx, dr7; or edx, ${GD}; mov dr7, edx`];
/** Repeated strings. */
const REPEATED: readonly string[] = [
  "mov ecx, 3; rep movsb",
  "mov ecx, 2; rep movsd",
  "mov ecx, 4; rep stosb",
  "mov ecx, 3; repe cmpsb",
  "xor ecx, ecx; rep stosd",
  "mov ecx, 3; repne scasb",
  `mov edx, ${PORT}; mov ecx, 3; rep outsb`,
];
/** And at level 0. Three instructions of five return by IRET: after them the flags are the image's. */
const returning = (flags: number) =>
  `pushfd; or dword [esp], ${flags}; push dword ${KERNEL_SELECTOR.code}; push dword 0; call $ + 5; pop edx; add edx, 8; mov [esp], edx; iretd`;
const KERNEL_ONLY: readonly string[] = [
  "mov eax, ss; mov ss, eax",
  "mov eax, ss; mov ss, eax; mov ss, eax",
  `push dword ${KERNEL_SELECTOR.data}; pop ss; nop`,
  "mov [ebx], ss; mov ss, [ebx]; nop",
  "mov eax, ss; mov ss, eax; mov [ebx], eax",
  `push dword ${KERNEL_SELECTOR.data}; pop ss; pushfd`,
  `mov edx, dr6; and edx, ~15`,
  "mov edx, dr7; mov dr7, edx",
  `mov edx, ${DR6_CLEAR}; mov dr6, edx`,
  returning(0),
  returning(RF),
  returning(TF),
  returning(RF | TF),
  "str [ebx]",
  "mov eax, cr3; mov cr3, eax",
];

/** Instructions of trials by their text: none depends on its place. */
const known = new Map<string, Uint8Array>();

function instruction(text: string, bits: 16 | 32): Uint8Array {
  const key = `${bits} ${text}`;
  let bytes = known.get(key);
  if (!bytes) known.set(key, bytes = assembled(text, 0, bits));
  return bytes;
}

function assembled(text: string, origin: number, bits: 16 | 32 = 32): Uint8Array {
  const source = sourceOfFile({ name: "trial.asm", text: text.replaceAll("; ", "\n") });
  const { assembled, diagnostics } = assemble([source], { bits, origin });
  if (!assembled) throw new Error(diagnostics.map(({ message }) => message).join("\n") + text);
  return assembled.bytes;
}

/** R/W fields (SDM vol. 3, 18.2.4). */
const KIND = { execute: 0, write: 1, port: 2, access: 3 } as const;

/** A breakpoint: where, and its bits of DR7. Those of Bochs that are not enabled are forgotten late: they are on code alone. */
function breakpoint(random: Random, index: number, places: readonly number[], ports: boolean) {
  const enabled = random.pick([0, 1, 1, 2, 3]);
  const { execute, write, port, access } = KIND;
  const kind = enabled === 0
    ? execute
    : random.pick([execute, execute, write, write, ports ? port : write, access, access]);
  const length = kind === execute ? 0 : random.pick([0, 0, 1, 3]);
  const address = kind === execute
    ? random.pick(places)
    : kind === port
    ? PORT - 2 + random.below(5)
    : random.oneIn(3)
    ? TOP - 4 * random.below(6)
    : DATA + random.below(12);
  const bits = ((length << 2 | kind) << (16 + 4 * index) | enabled << (2 * index)) >>> 0;
  return { address, bits, bit: enabled === 0 ? 0 : 1 << index };
}

/** What a trial starts with. `enabled`: the bits of DR6 that are told alike by all processors (SDM vol. 3, 18.2.3). */
function setup(
  random: Random,
  places: readonly number[],
  guarded: boolean,
): { code: Uint8Array; enabled: number } {
  const ports = !random.oneIn(4);
  const chosen = [0, 1, 2, 3].map((index) => breakpoint(random, index, places, ports));
  const exact = random.pick([0, 0x100, 0x300]);
  const dr7 = chosen.reduce((value, { bits }) => value | bits, exact | (guarded ? GD : 0));
  const enabled = chosen.reduce((value, { bit }) => value | bit, 0);
  const lines = [
    ...chosen.flatMap(({ address }, i) => [`mov eax, ${address}`, `mov dr${i}, eax`]),
    ...(ports ? ["mov eax, cr4", `or eax, ${CR4_DE}`, "mov cr4, eax"] : []),
    ...(random.oneIn(3) ? [] : ["mov eax, cr0", `or eax, ${CR0_AM}`, "mov cr0, eax"]),
    `mov eax, ${dr7 >>> 0}`,
    "mov dr7, eax",
    "ret",
  ];
  return { code: assembled(lines.join("\n"), SETUP), enabled };
}

/** What is compared of DR6 and of flags. */
interface Told extends Readonly<Record<string, number>> {
  readonly dr6: number;
  readonly eflags: number;
}

/** The handler: a log entry is DR6, EIP and flags. */
function handler(random: Random, told: Told, always: boolean): Uint8Array {
  const end = trialKernel().handlers.get(DEBUG)?.flat;
  const clears = random.oneIn(3) ? "" : `mov eax, ${DR6_CLEAR}; mov dr6, eax; `;
  const resumes = random.oneIn(4) && !always ? "" : `or dword [ss:esp + 16], ${RF}; `;
  return assembled(
    "push eax; push ebx; dec dword [ss:" + LEFT + "]; jle .last; " +
      `mov ebx, [ss:${LOG_END}]; mov eax, dr6; and eax, ${told.dr6}; mov [ss:ebx], eax; ` +
      `mov eax, [ss:esp + 8]; mov [ss:ebx + 4], eax; mov eax, [ss:esp + 16]; and eax, ${told.eflags}; mov [ss:ebx + 8], eax; ` +
      `add dword [ss:${LOG_END}], 12; ${clears}${resumes}pop ebx; pop eax; iretd; ` +
      `.last:; pop ebx; pop eax; jmp ${end}`,
    HANDLER,
  );
}

const dwords = (...values: number[]) => new Uint8Array(Uint32Array.from(values).buffer);

/** Where a trial runs: its segments, and what their offsets count from. */
const PLACES = {
  kernel: { cs: KERNEL_SELECTOR.code, data: KERNEL_SELECTOR.data, flags: 0, bits: 32, base: 0 },
  user: {
    cs: KERNEL_SELECTOR.userCode,
    data: KERNEL_SELECTOR.userData,
    flags: 0,
    bits: 32,
    base: 0,
  },
  virtual: { cs: LOW >> 4, data: LOW >> 4, flags: RFLAGS.VM, bits: 16, base: LOW },
} as const;

/** One trial. */
export function debugTrial(random: Random, name: string): BochsTrial {
  const kind = random.pick(["kernel", "kernel", "user", "user", "virtual"] as const);
  const { cs, data, flags: modeFlags, bits, base } = PLACES[kind];
  // Where Bochs and the manual differ, one thing at a time. Between two iterations, and after a general detect, RF is set
  // (SDM vol. 3, 18.3.1.1); not so on Bochs, which also tells of a step where general detect has stopped the instruction.
  // INT1 ends general detect as every debug exception does (18.2.4), but not there.
  const guarded = random.oneIn(6);
  const repeats = random.oneIn(3);
  const pool = [
    ...(kind === "virtual" ? ANYWHERE.filter((text) => !/call|out |outsb/.test(text)) : ANYWHERE),
    ...(guarded ? kind === "kernel" ? GUARDING : [] : ["int1"]),
    ...(kind === "kernel" ? KERNEL_ONLY : []),
    ...(repeats ? REPEATED.filter((text) => kind !== "virtual" || !text.includes("outsb")) : []),
  ];
  const chosen = Array.from({ length: 3 + random.below(6) }, () => random.pick(pool));
  const places: number[] = [];
  const code: number[] = [];
  for (const text of chosen) {
    places.push(CODE + code.length);
    for (const line of text.split("; ")) {
      code.push(...instruction(line, bits));
      places.push(CODE + code.length);
    }
  }
  const flags = (random.oneIn(3) ? TF : 0) | (random.oneIn(4) ? RF : 0) |
    (random.oneIn(2) ? AC : 0);
  const { code: start, enabled } = setup(random, places, guarded);
  const told = {
    dr6: (~0xf | enabled) >>> 0 & (guarded ? ~BS : ~0),
    eflags: (repeats || guarded ? ~RF : ~0) >>> 0,
  };
  const value = () => random.below(2 ** 32);
  return {
    name: `${name}: ${kind}: ${chosen.join("; ")}`,
    entry: kind === "kernel" ? "inner" : "outward",
    setup: SETUP,
    registers: {
      eflags: 0x3002 | flags | modeFlags,
      eip: CODE - base,
      cs,
      ss: data,
      ds: data,
      es: data,
      fs: 0,
      gs: 0,
      esp: TOP - base,
      eax: value(),
      ecx: value(),
      edx: value(),
      ebx: DATA - base,
      ebp: TOP + 0x100 - base,
      esi: DATA - base + random.below(6),
      edi: DATA - base + random.below(10),
    },
    patches: [
      { address: SETUP, bytes: start },
      { address: TOP, bytes: new Uint8Array(64) },
      { address: HANDLER, bytes: handler(random, told, guarded) },
      { address: LEFT, bytes: dwords(1 + random.below(12), LOG) },
      { address: KERNEL.idt + 8 * DEBUG, bytes: gateBytes(KERNEL_SELECTOR.code, HANDLER, 0x8e) },
      // A trap that MOV SS puts off is lost at INT n and INT1 on Bochs, so that none follows a load from memory.
      { address: CODE, bytes: [...code, NOP, ...END] },
    ],
    told,
  };
}
