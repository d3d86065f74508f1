// Random trials of the FPU for Bochs: what control registers make of its instructions, when a pending exception is raised, where
// the pointers to the last instruction lead, and the four layouts of the environment. In every mode of 16 and 32 bits.
import { Code } from "iced-x86";
import { CR0, RFLAGS } from "../../base/registers.ts";
import { KERNEL_SELECTOR } from "./bochs_layout.ts";
import { AREA, dwords, SEGMENTS, SELECTOR, words } from "./bochs_segments.ts";
import { type BochsTrial, END } from "./bochs_trials.ts";
import type { Random } from "./random.ts";
import { isTranscendental } from "./x87_compare.ts";
import { type X87Form, x87Forms } from "./x87_forms.ts";
import { image, operandBytes } from "./x87_states.ts";

/** Offsets in the area. */
const CODE = 0x100, OPERAND = 0x300, OUT = 0x400, STATE = 0x600, SETUP = 0x700, TOP = 0xa00;

type Mode = "real" | "virtual" | "code16" | "code32";

/** Selectors and entry of a mode. Segments of 32 bits begin at 0, others at the area. */
const MODES = {
  real: { entry: "real", cs: AREA >> 4, data: AREA >> 4, wide: false },
  virtual: { entry: "outward", cs: AREA >> 4, data: AREA >> 4, wide: false },
  code16: { entry: "inner", cs: SELECTOR.code16of0, data: SELECTOR.data16of0, wide: false },
  code32: { entry: "inner", cs: KERNEL_SELECTOR.code, data: KERNEL_SELECTOR.data, wide: true },
} as const;

/**
 * Not tried: FSTPNCE, which is in no manual (of an empty register, Bochs stores the indefinite); FLD of an empty register where
 * there is no room either (C1 tells of one fault or the other).
 */
const FORMS = x87Forms().filter((form) =>
  !isTranscendental(form) && !/^F(stpnce|ld_sti)/.test(form.name)
);
/** Of the environment: the four layouts are met more often. */
const ENVIRONMENT = FORMS.filter(({ name }) => /env|save|rstor/.test(name));
const WAIT = 0x9b;
const OPERAND_SIZE = 0x66;

/** Precision control of 1 is reserved. */
const PRECISION = 0x300, RESERVED = 0x100;

function stateOf(random: Random): Uint8Array {
  const { bytes, control } = image(random);
  if ((control & PRECISION) === RESERVED) bytes[1] = (bytes[1] ?? 0) | PRECISION >> 8;
  return bytes;
}

/** An operand in memory by its offset in the area. */
function memory(wide: boolean, reg: number, at: number): number[] {
  return wide ? [reg << 3 | 5, ...dwords(AREA + at)] : [reg << 3 | 6, ...words(at)];
}

/** A form of 32-bit code with [esi], as it stands in code of some size with an absolute operand. */
function encoded(wide: boolean, { bytes, name }: X87Form): number[] {
  const [opcode = 0, modrm = 0] = [...bytes].filter((byte) => byte !== OPERAND_SIZE);
  if (modrm >= 0xc0) return [opcode, modrm];
  const short = bytes[0] === OPERAND_SIZE;
  const layered = /env|save|rstor/.test(name);
  const prefix = layered && short === wide ? [OPERAND_SIZE] : [];
  return [...prefix, opcode, ...memory(wide, modrm >> 3 & 7, OPERAND)];
}

/** MOV from memory to a register of 32 bits. */
const load = (wide: boolean, register: number, at: number) => [
  ...(wide ? [] : [OPERAND_SIZE]),
  0x8b,
  ...memory(wide, register, at),
];

/** EAX, ECX, EDX, EBX, EBP, ESI, EDI take the environment. */
const SHOWN = [0, 1, 2, 3, 5, 6, 7];

function trial(random: Random): BochsTrial {
  const mode = random.pick(Object.keys(MODES) as Mode[]);
  const { entry, cs, data, wide } = MODES[mode];
  const pick = () => random.oneIn(8) ? random.pick(ENVIRONMENT) : random.pick(FORMS);
  const forms = [pick(), ...(random.oneIn(2) ? [pick()] : [])];
  const waits = random.oneIn(3) ? [WAIT] : [];
  const code = [
    ...forms.flatMap((form) => encoded(wide, form)),
    ...waits,
    ...[0xdd, ...memory(wide, 6, OUT)],
    ...SHOWN.flatMap((register, i) => load(wide, register, OUT + 4 * i)),
    ...END,
  ];
  const bits = random.oneIn(3) ? random.pick([CR0.TS, CR0.EM, CR0.TS | CR0.EM]) : 0;
  const off = (random.oneIn(2) ? CR0.MP : 0) | (random.oneIn(4) ? CR0.NE : 0);
  const base = wide ? 0 : AREA;
  return {
    name: `${mode}, CR0 +${bits.toString(16)} -${off.toString(16)}: ${
      forms.map(({ name }) => name).join("; ")
    }${waits.length ? "; wait" : ""}`,
    entry,
    registers: {
      cs,
      eip: AREA + CODE - base,
      ss: data,
      esp: AREA + TOP - base,
      ...Object.fromEntries(["ds", "es", "fs", "gs"].map((name) => [name, data])),
      eflags: 0x3002 | (mode === "virtual" ? RFLAGS.VM : 0),
    },
    setup: AREA + SETUP,
    patches: [
      ...SEGMENTS,
      { address: AREA + CODE, bytes: code },
      { address: AREA + OPERAND, bytes: operandBytes(random, forms[0]?.code ?? Code.INVALID) },
      { address: AREA + STATE, bytes: stateOf(random) },
      {
        address: AREA + SETUP,
        bytes: [
          // FNINIT: the trial before may have left an exception. FRSTOR.
          ...[0xdb, 0xe3],
          ...[0xdd, ...memory(true, 4, STATE)],
          // MOV EAX, CR0; AND EAX; OR EAX; MOV CR0, EAX; RET
          ...[0x0f, 0x20, 0xc0],
          ...[0x25, ...dwords(~off)],
          ...[0x0d, ...dwords(bits)],
          ...[0x0f, 0x22, 0xc0, 0xc3],
        ],
      },
    ],
  };
}

export function x87Trials(random: Random, count: number): BochsTrial[] {
  return Array.from({ length: count }, () => trial(random));
}
