// Random trials of virtual-8086 mode, for Bochs: what depends on IOPL, on CR4.VME, on the I/O and redirection bitmaps of the
// task-state segment; interrupts out of it; and CLI and STI under CR4.PVI at level 3.
import { CR4, RFLAGS } from "../../base/registers.ts";
import { END_VECTOR, KERNEL } from "./bochs_layout.ts";
import { AREA, dwords, FREE_SLOT, LEVEL, SEGMENTS, SELECTOR, words } from "./bochs_segments.ts";
import { type BochsTrial, descriptorBytes, END, gateBytes } from "./bochs_trials.ts";
import type { Random } from "./random.ts";

const CODE = 0x100, TARGET = 0x200, DATA = 0x300, SETUP = AREA + 0x400, TOP = 0x2000;
const SEGMENT = AREA >> 4;
const VECTOR = 0x31;
const TSS_SLOT = FREE_SLOT, TSS = KERNEL.free;
/** Redirection bits, then the I/O map: where they are in the TSS. */
const REDIRECTION = 0x68, IO_MAP = REDIRECTION + 32, IO_BYTES = 0x70;
/** Ports that nothing is behind, within the map's reach or not. */
const PORT = 0x280;

/** Without TF and IF (Bochs has a timer), unless `virtual` ones are meant: TF faults then, and IF is VIF. */
const flagImage = (random: Random, virtual: boolean) =>
  random.below(0x10000) &
  ~((virtual && random.oneIn(4) ? 0 : RFLAGS.TF) | (virtual ? 0 : RFLAGS.IF));
/** The same of 32 bits. */
const wideImage = (random: Random) => random.below(2 ** 22) & ~(RFLAGS.TF | RFLAGS.IF);

interface Snippet {
  readonly bytes: readonly number[];
  readonly stack?: readonly number[];
}

/** In virtual-8086 mode; `virtual`: PUSHF, POPF and IRET are about VIF. */
const SNIPPETS: readonly ((random: Random, virtual: boolean) => Snippet)[] = [
  () => ({ bytes: [0xfa] }), // cli
  () => ({ bytes: [0xfb] }), // sti: its shadow covers the end of the trial
  () => ({ bytes: [0x9c] }), // pushf
  () => ({ bytes: [0x66, 0x9c] }), // pushfd
  (random, virtual) => ({ bytes: [0x9d, 0x9c], stack: words(flagImage(random, virtual)) }), // popf; pushf
  (random) => ({
    bytes: [0x66, 0x9d, 0x66, 0x9c],
    stack: dwords(wideImage(random)),
  }),
  () => ({ bytes: [0xcd, VECTOR] }),
  () => ({ bytes: [0xcd, VECTOR] }),
  () => ({ bytes: [0xcc] }),
  () => ({ bytes: [0xb0, 0x7f, 0x04, 0x01, 0xce] }), // mov al, 0x7f; add al, 1; into
  () => ({ bytes: [0xf1] }),
  (random, virtual) => ({
    bytes: [0xcf],
    stack: words(
      TARGET,
      random.pick([SEGMENT, SEGMENT + 0x100]),
      flagImage(random, virtual),
    ),
  }),
  (random) => ({
    bytes: [0x66, 0xcf],
    stack: dwords(TARGET, SEGMENT, wideImage(random)),
  }),
  // in al, dx; in ax, dx; in eax, dx; out dx, al; out dx, ax; out dx, eax, and a known EAX
  (random) => ({
    bytes: [
      ...[0xba, ...words(PORT + random.below(0x60))],
      ...random.pick([[0xec], [0xed], [0x66, 0xed], [0xee], [0xef], [0x66, 0xef]]),
      ...[0x66, 0xb8, ...dwords(0)],
    ],
  }),
  (random) => ({ bytes: [...random.pick(PRIVILEGED)] }),
  // mov es, ax; mov dx, [es:bx]
  () => ({ bytes: [0x8e, 0xc0, 0xbb, ...words(DATA), 0x8c, 0xc1] }),
  (random) => ({ bytes: [0x07, 0x1f], stack: words(random.below(0x10000), random.below(0x10000)) }),
  // les di, [ss:esp]
  (random) => ({
    bytes: [0x36, 0x66, 0xc4, 0x3c, 0x24],
    stack: [...dwords(random.below(2 ** 32)), ...words(random.below(0x10000))],
  }),
  () => ({ bytes: [0x9a, ...words(TARGET, SEGMENT)] }),
  () => ({ bytes: [0xea, ...words(TARGET, SEGMENT)] }),
  (random) => ({
    bytes: random.oneIn(2) ? [0xcb] : [0xca, ...words(6)],
    stack: words(TARGET, SEGMENT),
  }),
];

/** hlt, clts, lgdt, lidt, smsw, lmsw, mov cr0, mov dr7, invd, invlpg, rdmsr, sldt, str, lldt, ltr, lar, lsl, verr, arpl, ... */
const PRIVILEGED: readonly (readonly number[])[] = [
  [0xf4],
  [0x0f, 0x06],
  [0x0f, 0x01, 0x16, 0, 0],
  [0x0f, 0x01, 0x1e, 0, 0],
  [0x0f, 0x01, 0xe0],
  [0x0f, 0x01, 0xf0],
  [0x0f, 0x20, 0xc0],
  [0x0f, 0x22, 0xc0],
  [0x0f, 0x23, 0xf8],
  [0x0f, 0x08],
  [0x0f, 0x01, 0x3e, 0, 0],
  [0x0f, 0x32],
  [0x0f, 0x00, 0xc0],
  [0x0f, 0x00, 0xc8],
  [0x0f, 0x00, 0xd0],
  [0x0f, 0x00, 0xd8],
  [0x0f, 0x02, 0xc0],
  [0x0f, 0x03, 0xc0],
  [0x0f, 0x00, 0xe0],
  [0x63, 0xc0],
  [0x0f, 0x34],
  [0x0f, 0x35],
  [0x0f, 0x05],
  [0x0f, 0x0b],
  [0xf0, 0x90],
];

/** At level 3, in 32-bit code. */
const OUTER: readonly ((random: Random) => Snippet)[] = [
  () => ({ bytes: [0xfa, 0x9c] }),
  () => ({ bytes: [0xfb] }),
  () => ({ bytes: [0x9c] }),
  (random) => ({
    bytes: [0x9d, 0x9c],
    stack: dwords(wideImage(random) & ~RFLAGS.NT),
  }),
  (random) => ({ bytes: [0x66, 0x9d, 0x9c], stack: words(flagImage(random, false) & ~RFLAGS.NT) }),
];

/** A task-state segment with both maps, LTR, and what CR4 turns on. */
function setting(random: Random, cr4: number): BochsTrial["patches"] {
  const bits = (length: number) =>
    Array.from({ length }, () => random.pick([0, 0xff, random.below(256)]));
  const redirection = bits(32);
  // The interrupt that ends trials goes to the kernel.
  redirection[END_VECTOR >> 3] = (redirection[END_VECTOR >> 3] ?? 0) | 1 << (END_VECTOR & 7);
  const limit = random.oneIn(4)
    ? random.pick([0x67, IO_MAP - 1, IO_MAP + (PORT >> 3) + 4, 0x66])
    : IO_MAP + IO_BYTES;
  const state = [
    ...dwords(0, KERNEL.stack - 0x400, LEVEL[0].ss),
    ...new Array(0x66 - 12).fill(0),
    ...words(IO_MAP),
  ];
  // mov ax, TSS_SLOT; ltr ax; mov eax, cr4; or eax, ...; mov cr4, eax; ret
  const setup = [
    ...[0x66, 0xb8, ...words(TSS_SLOT), 0x0f, 0x00, 0xd8],
    ...[0x0f, 0x20, 0xe0, 0x0d, ...dwords(cr4), 0x0f, 0x22, 0xe0, 0xc3],
  ];
  return [
    { address: KERNEL.gdt + TSS_SLOT, bytes: descriptorBytes(TSS, limit, 0x89) },
    { address: TSS, bytes: [...state, ...redirection, ...bits(IO_BYTES), 0xff] },
    { address: SETUP, bytes: setup },
  ];
}

/** A gate to a handler of level 0, mostly; and the 8086 program's own vector. */
function vectors(random: Random): BochsTrial["patches"] {
  const selector = random.pick([
    ...[LEVEL[0].cs, LEVEL[0].cs, SELECTOR.code16of0],
    ...[SELECTOR.conforming0, SELECTOR.code1, LEVEL[3].cs],
  ]);
  const access = 0x80 | random.pick([0, 3, 3]) << 5 | random.pick([6, 7, 14, 15]);
  const own = words(TARGET, SEGMENT);
  return [
    { address: KERNEL.idt + 8 * VECTOR, bytes: gateBytes(selector, TARGET, access) },
    { address: 4 * VECTOR, bytes: own },
  ];
}

/** A trial of one instruction, or a few. */
export function virtualTrial(random: Random, name: string): BochsTrial {
  const protectedMode = random.oneIn(6);
  const cr4 = (random.oneIn(3) ? 0 : CR4.VME) | (random.oneIn(2) ? CR4.PVI : 0);
  const iopl = random.oneIn(2) ? 3 : random.below(3);
  const masked = (cr4 & CR4.VME) !== 0 && iopl < 3;
  const snippet = protectedMode
    ? random.pick(OUTER)(random)
    : random.pick(SNIPPETS)(random, masked);
  const flags = 2 | iopl << 12 | (random.oneIn(2) ? RFLAGS.VIF : 0) |
    (random.oneIn(3) ? RFLAGS.VIP : 0) | random.below(256) & ~RFLAGS.TF;
  const data = () => random.below(0x10000);
  const at = (offset: number) => protectedMode ? AREA + offset : offset;
  return {
    name,
    entry: "outward",
    registers: {
      ...(protectedMode ? LEVEL[3] : {
        ...{ cs: SEGMENT, ss: SEGMENT },
        ...{ ds: data(), es: data(), fs: data(), gs: data() },
      }),
      eip: at(CODE),
      esp: at(TOP),
      eflags: flags | (protectedMode ? 0 : RFLAGS.VM),
      eax: random.below(2 ** 32),
      ecx: random.below(2 ** 32),
      ebx: random.below(2 ** 32),
    },
    setup: SETUP,
    patches: [
      ...SEGMENTS,
      { address: AREA + CODE, bytes: [...snippet.bytes, ...END] },
      ...[TARGET, AREA + TARGET, AREA + 0x1000 + TARGET].map((address) => ({
        address,
        bytes: END,
      })),
      { address: AREA + TOP, bytes: snippet.stack ?? [] },
      ...vectors(random),
      ...setting(random, cr4),
    ],
  };
}
