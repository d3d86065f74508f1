// Random trials of segmentation: segments of every kind, and instructions that access them at and around their edges. For
// `bochs_compare.ts`.
import { assemble, sourceOfFile } from "../../guest/asm/assemble.ts";
import { KERNEL } from "./bochs_layout.ts";
import { type BochsTrial, descriptorBytes, END } from "./bochs_trials.ts";
import type { Random } from "./random.ts";
import { BRANCHES, type Snippet, SNIPPETS } from "./segmentation_snippets.ts";

type Mode = "protected32" | "protected16" | "virtual" | "real" | "unreal" | "inner32";
const MODES: readonly Mode[] = [
  ...["protected32", "protected32", "protected16", "virtual", "real", "unreal", "inner32"] as const,
];

const PROTECTED = MODES.slice(0, 3);

const DATA_SEGMENTS = ["ds", "es", "fs", "gs", "ss"] as const;
type Name = typeof DATA_SEGMENTS[number];

/** A segment as the trial loads it. */
interface Chosen {
  readonly selector: number;
  readonly base: number;
  /** In bytes. */
  readonly limit: number;
  readonly attributes: number;
}

/** Where segments begin: their edges at 4 KiB and at 64 KiB are in the areas that are compared. */
const BASE = 0x10000, BASES = 0xf00;
const CODE = 0xf100;
/** GDT slots for ES, CS, SS, DS, FS, GS. */
const SLOT = { es: 0x80, cs: 0x88, ss: 0x90, ds: 0x98, fs: 0xa0, gs: 0xa8 } as const;
const MAX = 0xffff_ffff, FLAT_STACK = 0xc093;
const P = 0x80, S = 0x10, G = 0x8000, DB = 0x4000;
const TYPES = [0x3, 0x3, 0x3, 0x3, 0x1, 0x5, 0x7, 0x7, 0xb, 0xf] as const;
const CODE_TYPES = [0xb, 0xb, 0x9, 0xf] as const;
const STACK_TYPES = [0x3, 0x3, 0x3, 0x7] as const;

export function segmentationTrial(random: Random, name: string): BochsTrial {
  const branches = random.oneIn(5);
  const snippet = random.pick(branches ? BRANCHES : SNIPPETS);
  const mode = random.pick(snippet.wild ? PROTECTED : MODES);
  const real = mode === "real" || mode === "virtual" || mode === "unreal";
  const level = mode === "inner32" ? 0 : 3;
  const segments = Object.fromEntries(DATA_SEGMENTS.map((name) => [
    name,
    real
      ? realSegment(random, mode === "unreal", name === "ss")
      : protectedSegment(random, name, level),
  ])) as Record<Name, Chosen>;
  if (snippet.call && !real) segments.ss = { ...segments.ss, limit: MAX, attributes: FLAT_STACK };
  const bits = mode === "protected16" || real ? 16 : 32;
  const code = codeSegment(random, bits, real, level);
  const target = random.pick([...DATA_SEGMENTS, "cs"] as const);
  const wide = random.oneIn(4) ? bits === 16 : bits === 32;
  const offset = edge(random, target === "cs" ? code : segments[target], snippet.size, wide);
  const text = snippet.text(memoryOperand(random, target, offset, wide));
  const start = CODE - code.base;
  const bytes = assembled(text, bits, start);
  const end = start + bytes.length;
  const short = !real && (branches ? random.oneIn(2) : snippet.wild);
  const limit = !short
    ? code.limit
    : branches
    ? start + random.below(bytes.length + 4) - 1
    : end + END.length;
  const stack = snippet.call || snippet.inside
    ? 0x400
    : edge(random, segments.ss, 4, (segments.ss.attributes & DB) !== 0);
  const source = edge(random, segments.ds, snippet.size, wide);
  const destination = edge(random, segments.es, snippet.size, wide);
  const patches: { address: number; bytes: Iterable<number> }[] = [
    { address: CODE, bytes: [...bytes, ...END] },
  ];
  const put = (name: keyof typeof SLOT, { base, limit, attributes }: Chosen) => {
    const units = attributes & G ? limit >>> 12 : limit;
    const bytes = descriptorBytes(base, units, attributes | (level << 5));
    patches.push({ address: KERNEL.gdt + SLOT[name], bytes });
  };
  if (!real) {
    put("cs", { ...code, limit, attributes: short ? code.attributes & ~G : code.attributes });
    for (const name of DATA_SEGMENTS) put(name, segments[name]);
  }
  const setup = mode === "unreal" ? unrealSetup(segments, put) : undefined;
  if (setup) patches.push({ address: KERNEL.free, bytes: setup });
  const selectors = Object.fromEntries(
    DATA_SEGMENTS.map((name) => [name, segments[name].selector]),
  );
  return {
    name: `${name}, ${mode}: ${text.trim().replaceAll("\n", "; ")} (${target})`,
    entry: mode === "inner32" ? "inner" : mode === "real" || mode === "unreal" ? "real" : "outward",
    registers: {
      ...selectors,
      cs: code.selector,
      eip: start,
      esp: stack,
      ...general(random, snippet, { offset, source, destination, stack, wide }),
      ...(branches ? { eax: random.pick(short ? [end, limit, limit + 1] : [end]) } : {}),
      eflags: 2 | (mode === "virtual" ? 0x23000 : 0) | (random.oneIn(5) ? 0x400 : 0) |
        random.pick([0, 1, 0x40, 0x8d5]),
    },
    patches,
    ...(setup ? { setup: KERNEL.free } : {}),
    ...(snippet.call || snippet.partial ? { ignored: ["area0", "area1"] } : {}),
    undefinedFlags: snippet.undefinedFlags ?? 0,
  };
}

function general(
  random: Random,
  snippet: Snippet,
  at: {
    offset: number;
    source: number;
    destination: number;
    stack: number;
    wide: boolean;
  },
) {
  const string = snippet.string === true;
  const noise = at.wide || string || random.oneIn(2) ? 0 : 0x5a5a_0000;
  return {
    eax: random.pick([0, 1, 7, 31, 0xffff_ffff]),
    ecx: string ? random.below(5) : random.pick([0, 1, 2, 0xffff_ffff]) >>> 0,
    edx: random.pick([3, 0x1234_5678]),
    ebx: at.offset | noise,
    ebp: snippet.frame ? at.stack : at.offset | noise,
    esi: (string ? at.source : at.offset) | noise,
    edi: (string ? at.destination : at.offset) | noise,
  };
}

/** `[seg:reg + displacement]`, of 16 or 32 bits, whose register holds the offset; or the offset alone. */
function memoryOperand(random: Random, name: Name | "cs", offset: number, wide: boolean): string {
  const shown = `0x${(offset >>> 0).toString(16)}`;
  switch (random.below(3)) {
    case 0:
      return wide ? `[dword ${name}:${shown}]` : `[word ${name}:${shown}]`;
    case 1:
      return `[${name}:${wide ? "ebx" : "bx"}]`;
    default:
      return `[${name}:${wide ? "ebp" : "bp"} + 0]`;
  }
}

function realSegment(random: Random, unreal: boolean, isStack: boolean): Chosen {
  const selector = (BASE >> 4) + random.below(BASES >> 4);
  const big = unreal && !isStack && random.oneIn(2);
  const limit = unreal && !isStack ? random.pick([0xffff, 0xfff, 0x10fff, 0xffff_ffff]) : 0xffff;
  return {
    selector,
    base: selector << 4,
    limit,
    attributes: P | S | 3 | (limit > 0xfffff ? G : 0) | (big ? DB : 0),
  };
}

function protectedSegment(random: Random, name: Name, level: number): Chosen {
  if (name !== "ss" && random.oneIn(8)) return { selector: 0, base: 0, limit: 0, attributes: 0 };
  const type = random.pick(name === "ss" ? STACK_TYPES : TYPES);
  const fine = random.pick([0, 1, 7, random.below(0x1000), 0xffff, 0xffff, 0x10fff]);
  const limit = random.oneIn(3) ? 0xffff_ffff : random.oneIn(4) ? 0xfff : fine;
  const whole = limit === 0xffff_ffff || limit === 0xfff && random.oneIn(2);
  const base = limit === 0x10fff ? BASE - 0x800 : BASE + random.below(BASES);
  return {
    selector: SLOT[name] | level,
    base,
    limit: type & 8 || !(type & 4) ? limit : Math.min(limit, 0xffff),
    attributes: P | S | type | (whole ? G : 0) | (random.oneIn(2) ? DB : 0),
  };
}

function codeSegment(random: Random, bits: 16 | 32, real: boolean, level: number): Chosen {
  const base = real || bits === 16 ? 0xf000 : random.pick([0, 0xf000]);
  const limit = bits === 16 || random.oneIn(3) ? 0xffff : 0xffff_ffff;
  return {
    selector: real ? base >> 4 : SLOT.cs | level,
    base,
    limit,
    attributes: P | S | random.pick(CODE_TYPES) | (limit > 0xfffff ? G : 0) |
      (bits === 32 ? DB : 0),
  };
}

/** An offset at one of the segment's edges, so that what lies there is compared; else one inside. */
function edge(random: Random, { base, limit, attributes }: Chosen, size: number, wide: boolean) {
  const mask = wide ? 0xffff_ffff : 0xffff;
  for (let attempt = 0; attempt < 20; attempt++) {
    const around = random.pick([0, 0, limit + 1, limit + 1, 0x10000]);
    const offset = ((around - random.below(2 * size + 3) + random.below(3)) & mask) >>> 0;
    // Whether an access wraps at 4 GiB depends on the processor (SDM vol. 3, 5.3).
    if (limit === MAX && (offset > MAX - 0x80 || offset < 0x80)) continue;
    if (isCompared((base + offset) >>> 0, 80)) return offset;
  }
  const down = (attributes & 0xc) === 4;
  return down ? 0xf800 : Math.min((limit & mask) >>> 0, 0x400);
}

/** Is the room around a linear address in the areas that are compared? */
function isCompared(linear: number, room: number): boolean {
  return KERNEL.areas.some(({ start, end }) =>
    linear - room >= start + 0x800 && linear + room <= end
  );
}

/** Code at level 0 that loads the segments whose limits real mode then keeps. */
function unrealSetup(
  segments: Record<Name, Chosen>,
  put: (name: Name, segment: Chosen) => void,
): Uint8Array {
  const lines = ["ds", "es", "fs", "gs"].map((name) => {
    put(name as Name, segments[name as Name]);
    return `    mov ax, ${SLOT[name as Name]}\n    mov ${name}, ax\n`;
  });
  // SS stays as it is: the kernel has its stack there, on its way.
  return assembled(lines.join("") + `    ret\n`, 32, KERNEL.free);
}

function assembled(text: string, bits: 16 | 32, origin: number): Uint8Array {
  const source = sourceOfFile({ name: "trial.asm", text: `${text}\n` });
  const { assembled, diagnostics } = assemble([source], { bits, origin });
  if (!assembled) throw new Error(`${text}: ${diagnostics.map((d) => d.message).join("; ")}`);
  return assembled.bytes;
}
