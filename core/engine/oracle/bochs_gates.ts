// Random trials of what descriptors decide, for Bochs: far transfers with and without call gates, interrupts through gates of
// 16 and 32 bits, returns, loads of segment registers, and the instructions that only ask. From any level.
import { RFLAGS } from "../../base/registers.ts";
import { KERNEL, KERNEL_SELECTOR } from "./bochs_layout.ts";
import {
  anySelector,
  AREA,
  dwords,
  FREE_SLOT,
  LEVEL,
  type Level,
  SEGMENTS,
  SELECTOR,
  words,
} from "./bochs_segments.ts";
import { type BochsTrial, descriptorBytes, END, gateBytes } from "./bochs_trials.ts";
import type { Random } from "./random.ts";

/** Where far transfers lead, in segments that begin at 0 and in those that begin at `AREA`. */
const TARGET = 0x200, BEYOND = 0x10200;
const CODE = AREA + 0x100, DATA = AREA + 0x300, SETUP = AREA + 0x400;
const TOP = AREA + 0x2000, OUTER_TOP = 0x1400;
/** Tops of the stacks of levels 0 to 2: the same offset in every segment. */
const INNER_TOPS = [0x1600, 0x1800, 0x1a00] as const;
const TSS16_SLOT = FREE_SLOT + 0x20, TSS16 = KERNEL.free;
const CALL_GATES = [4, 12] as const, INTERRUPT_GATES = [6, 7, 14, 15] as const;
const VECTOR = 0x31;

type Patches = BochsTrial["patches"][number][];

function access(random: Random, types: readonly number[]): number {
  const type = random.oneIn(16) ? random.below(16) : random.pick(types);
  return (random.oneIn(16) ? 0 : 0x80) | (random.oneIn(5) ? random.below(4) : 3) << 5 | type;
}

/** A selector of code, more often than of anything else. */
function code(random: Random): number {
  if (random.oneIn(3)) return anySelector(random);
  return random.pick([
    ...LEVEL.map(({ cs }) => cs),
    SELECTOR.conforming0,
    SELECTOR.conforming1 | 1,
    SELECTOR.conforming3 | 3,
    SELECTOR.code16of0,
    SELECTOR.code16of3 | 3,
    SELECTOR.shortCode0,
  ]) ^ (random.oneIn(4) ? random.below(4) : 0);
}

/** A selector of a stack of some level. */
function stack(random: Random, level: number): number {
  if (random.oneIn(3)) return anySelector(random);
  const found = LEVEL[level as Level].ss;
  return level === 3 && random.oneIn(3) ? SELECTOR.data16of3 | 3 : found;
}

/** For IRET: Bochs raises #NP for a stack that is absent, the manual has #SS (SDM vol. 2, IRET). */
function presentStack(random: Random, level: number): number {
  const selector = stack(random, level);
  return ABSENT.has(selector & ~3) ? LEVEL[level as Level].ss : selector;
}
const ABSENT: ReadonlySet<number> = new Set([SELECTOR.absentData0, SELECTOR.absentData3]);

const offset = (random: Random) => random.oneIn(8) ? BEYOND : TARGET;

/**
 * May a CALL fail because its target lies beyond its segment? Bochs has pushed the return address by then, and the manual's
 * pseudo-code has not (SDM vol. 2, CALL).
 */
function mayMiss(code: readonly number[], gates: readonly number[]): boolean {
  const [short, beyond] = [words(SELECTOR.shortCode0), BEYOND >> 16];
  const namesShort = [...code, 0, ...gates].some((byte, i, all) =>
    (byte & ~3) === short[0] && all[i + 1] === short[1]
  );
  const opcode = code.indexOf(0x9a);
  const direct = code[opcode + 3] === beyond && code.length - opcode > 5;
  return opcode >= 0 && opcode <= 1 &&
    (namesShort || direct || [0, 1, 2, 3].some((gate) => gates[8 * gate + 6] === beyond));
}

/** Bytes of an instruction and of what it finds at the top of the stack. */
interface Snippet {
  readonly bytes: readonly number[];
  readonly stack?: readonly number[];
  readonly undefinedFlags?: number;
}

const narrow = (random: Random) => random.oneIn(3);
const prefixed = (is16: boolean, ...bytes: number[]) => is16 ? [0x66, ...bytes] : bytes;
const put = (is16: boolean, ...values: number[]) => is16 ? words(...values) : dwords(...values);

const SNIPPETS: readonly ((random: Random) => Snippet)[] = [
  // JMP and CALL far, direct
  (random) => {
    const is16 = narrow(random);
    const selector = random.oneIn(2) ? code(random) : gateOf(random);
    const opcode = random.pick([0xea, 0x9a]);
    return {
      bytes: prefixed(is16, opcode, ...put(is16, offset(random)), ...words(selector)),
      stack: dwords(1, 2, 3, 4, 5, 6, 7, 8),
    };
  },
  // RETF and RETF n
  (random) => {
    const is16 = narrow(random);
    const released = random.oneIn(2) ? random.pick([0, 4, 8, 0x10]) : undefined;
    const cs = code(random);
    const outer = put(is16, OUTER_TOP, stack(random, cs & 3));
    return {
      bytes: released === undefined
        ? prefixed(is16, 0xcb)
        : prefixed(is16, 0xca, ...words(released)),
      stack: [
        ...put(is16, offset(random), cs),
        ...Array.from({ length: released ?? 0 }, () => 0x5a),
        ...outer,
      ],
    };
  },
  // IRET
  (random) => {
    const is16 = narrow(random);
    const cs = code(random);
    const flags = random.below(2 ** 22) &
      ~(RFLAGS.TF | RFLAGS.IF | RFLAGS.RF | RFLAGS.VIF | RFLAGS.VIP | RFLAGS.AC |
        (random.oneIn(4) ? 0 : RFLAGS.VM));
    const virtual = (flags & RFLAGS.VM) !== 0;
    return {
      bytes: prefixed(is16, 0xcf),
      stack: [
        // Bochs takes 16 bits of EIP to virtual-8086 mode; the manual has #GP(0) (SDM vol. 2, IRET).
        ...put(is16, virtual ? TARGET : offset(random), virtual ? AREA >> 4 : cs, flags, OUTER_TOP),
        ...put(is16, virtual ? AREA >> 4 : presentStack(random, cs & 3)),
        ...put(is16, ...[0, 0, 0, 0].map(() => random.below(0x10000))),
      ],
    };
  },
  // INT n
  () => ({ bytes: [0xcd, VECTOR] }),
  // MOV to a segment register, and a look through it
  (random) => {
    const register = random.pick([0, 2, 3, 4, 5]);
    const selector = anySelector(random);
    return {
      bytes: [
        0x66,
        0xb8,
        ...words(selector),
        0x8e,
        0xc0 | register << 3,
        ...look(random, register),
      ],
    };
  },
  // POP of a segment register
  (random) => {
    const register = random.pick([0, 3, 4, 5]);
    const opcode = { 0: [0x07], 3: [0x1f], 4: [0x0f, 0xa1], 5: [0x0f, 0xa9] }[register] ?? [];
    return {
      bytes: [...prefixed(narrow(random), ...opcode), ...look(random, register)],
      stack: dwords(anySelector(random)),
    };
  },
  // LDS, LES, LFS, LGS, LSS
  (random) => {
    const opcode = random.pick([[0xc5], [0xc4], [0x0f, 0xb4], [0x0f, 0xb5], [0x0f, 0xb2]]);
    const is16 = narrow(random);
    const pointer = [...put(is16, random.below(2 ** 16)), ...words(anySelector(random))];
    return { bytes: [...prefixed(is16, ...opcode, 0x0c, 0x24)], stack: pointer };
  },
  // LAR, LSL, VERR, VERW, ARPL, LLDT, LTR, SLDT, STR
  (random) => {
    const is16 = narrow(random);
    const forms = [
      prefixed(is16, 0x0f, 0x02, 0xc8),
      prefixed(is16, 0x0f, 0x03, 0xc8),
      [0x0f, 0x00, 0xe0],
      [0x0f, 0x00, 0xe8],
      [0x63, 0xc8],
      [0x0f, 0x00, 0xd0],
      [0x0f, 0x00, 0xd8],
      prefixed(is16, 0x0f, 0x00, 0xc1),
      prefixed(is16, 0x0f, 0x00, 0xc9),
    ];
    const selector = random.oneIn(3) ? gateOf(random) : anySelector(random);
    // LAR leaves bits 16 to 19 undefined (SDM vol. 2, LAR): and ecx, 0xfff0ffff
    const defined = [0x81, 0xe1, ...dwords(0xfff0_ffff)];
    return {
      bytes: [0x66, 0xb8, ...words(selector), ...random.pick(forms), ...defined],
      undefinedFlags: RFLAGS.AF,
    };
  },
];

/** Sometimes: mov edx, [seg: DATA] or mov [seg: DATA], edx. */
function look(random: Random, register: number): number[] {
  if (random.oneIn(2)) return [];
  const prefix = [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65][register] ?? 0x3e;
  return [prefix, random.pick([0x8b, 0x89]), 0x15, ...dwords(DATA)];
}

function gateOf(random: Random): number {
  return FREE_SLOT + 8 * random.below(4) + random.below(4);
}

/** Call gates, and sometimes a TSS of 16 bits, in the free slots; a gate in the IDT; stacks of inner levels. */
function tables(random: Random, wide: boolean): Patches {
  const gates = [0, 1, 2, 3].flatMap(() =>
    gateBytes(code(random), offset(random), access(random, CALL_GATES), random.pick([0, 1, 3, 5]))
  );
  const inner = [0, 1, 2].map((level) => {
    const usual = LEVEL[level as Level].ss;
    const selector = random.oneIn(8)
      ? anySelector(random)
      : level === 0 && random.oneIn(3)
      ? SELECTOR.data16of0
      : usual;
    return [INNER_TOPS[level] ?? 0, selector] as const;
  });
  const stacks = inner.flat();
  return [
    { address: KERNEL.gdt + FREE_SLOT, bytes: gates },
    {
      address: KERNEL.idt + 8 * VECTOR,
      bytes: gateBytes(code(random), offset(random), access(random, INTERRUPT_GATES)),
    },
    wide
      ? { address: KERNEL.tss + 4, bytes: dwords(...stacks) }
      : { address: TSS16 + 2, bytes: words(...stacks) },
    ...(wide ? [] : [
      {
        address: KERNEL.gdt + TSS16_SLOT,
        bytes: descriptorBytes(TSS16, 0x2b, 0x81),
      },
      // mov ax, TSS16_SLOT; ltr ax; ret
      { address: SETUP, bytes: [0x66, 0xb8, ...words(TSS16_SLOT), 0x0f, 0x00, 0xd8, 0xc3] },
    ]),
  ];
}

/** A trial of one instruction, or a few. */
export function gateTrial(random: Random, name: string): BochsTrial {
  const level = random.pick<Level>([0, 0, 1, 2, 3, 3]);
  const snippet = random.pick(SNIPPETS)(random);
  const wide = !random.oneIn(4);
  const descriptors = tables(random, wide);
  const gates = descriptors.find(({ address }) => address === KERNEL.gdt + FREE_SLOT);
  const data = () => random.pick([0, KERNEL_SELECTOR.userData, SELECTOR.readOnly3 | 3]);
  return {
    name,
    entry: level > 0 ? "outward" : "inner",
    registers: {
      ...LEVEL[level],
      eip: CODE,
      esp: TOP,
      ds: data(),
      es: data(),
      fs: data(),
      gs: level === 0 ? KERNEL_SELECTOR.data : data(),
      eflags: 2 | random.below(4) << 12,
      eax: random.below(2 ** 32),
      ecx: random.below(2 ** 32),
      edx: random.below(2 ** 32),
      ebx: random.below(2 ** 32),
    },
    patches: [
      ...SEGMENTS,
      { address: CODE, bytes: [...snippet.bytes, ...END] },
      ...[TARGET, BEYOND, AREA + TARGET].map((address) => ({ address, bytes: END })),
      { address: TOP, bytes: snippet.stack ?? [] },
      ...descriptors,
    ],
    undefinedFlags: snippet.undefinedFlags ?? 0,
    ignored: mayMiss(snippet.bytes, [...gates?.bytes ?? []]) ? ["area0"] : [],
    ...(wide ? {} : { setup: SETUP }),
  };
}
