// Random trials of paging: one page whose entries, at every level, have random bits, under random settings of CR0, CR4 and
// EFER, and one access to it. Accessed and dirty bits are compared with the rest of memory.
import { CR0, CR4, EFER, RFLAGS } from "../../base/registers.ts";
import { AT, type Mode, MODES, ROOT, SPECIAL_PAGES } from "./machine.ts";
import type { Random } from "./random.ts";
import type { Patch, Trial } from "./trial.ts";

/** Modes with paging and 32 or 64-bit code. */
export const PAGED_MODES: readonly Mode[] = MODES.filter(({ family, bits }) =>
  family !== "real" && bits !== 16
);

const [P, RW, US, A, D, PS, G] = [1n, 2n, 4n, 0x20n, 0x40n, 0x80n, 0x100n];
const NX = 1n << 63n;
/** A bit above the physical address width of both processors. */
const RESERVED = 1n << 45n;
const FRAME = 0x7a000n;
/** In long mode: under a page-directory pointer of its own; and with five levels, under an entry of the fifth. */
const LONG_PAGE = 0x4000_0000, FIFTH_SLOT = 2 ** 48;
/** Present, writable, accessed, dirty. */
const KERNEL_TABLE = 0x63n;
const RAX = 0, RCX = 1, RSP = 4;

type Access = readonly [code: readonly number[], offset: number];

/** jmp rax */
const FETCH: Access = [[0xff, 0xe0], 0];

/** Reads, writes, both, fetches, at the start and across the end of the page: [code, offset in the page]. */
const ACCESSES: readonly Access[] = [
  [[0x8b, 0x08], 0], // mov ecx, [rax]
  [[0x89, 0x08], 0], // mov [rax], ecx
  [[0x01, 0x08], 0], // add [rax], ecx
  [[0x39, 0x08], 0x10], // cmp [rax], ecx
  FETCH,
  [[0xff, 0x30], 8], // push [rax]
  [[0x8f, 0x00], 8], // pop [rax]
  [[0x87, 0x08], 4], // xchg [rax], ecx
  [[0x8b, 0x08, 0x89, 0x08], 0], // mov ecx, [rax]; mov [rax], ecx
  [[0x89, 0x08, 0x8b, 0x08], 0xffe], // across the end
  [[0x8b, 0x08], 0xffd],
];

/** Mostly generous bits, and one surprise or two. */
function entryBits(random: Random, wide: boolean): bigint {
  let bits = P | RW | US | (random.oneIn(2) ? A : 0n) | (random.oneIn(2) ? D : 0n);
  for (const bit of [P, RW, US]) if (random.oneIn(5)) bits &= ~bit;
  if (random.oneIn(4)) bits |= G;
  if (wide && random.oneIn(5)) bits |= NX;
  if (wide && random.oneIn(16)) bits |= RESERVED;
  return bits;
}

function entry(address: number, value: bigint, wide: boolean): Patch {
  const view = new DataView(new ArrayBuffer(wide ? 8 : 4));
  if (wide) view.setBigUint64(0, BigInt.asUintN(64, value), true);
  else view.setUint32(0, Number(BigInt.asUintN(32, value)), true);
  return { address, bytes: new Uint8Array(view.buffer) };
}

/** The entries that lead to the page. */
function tables(random: Random, mode: Mode): { patches: Patch[]; large: boolean } {
  const wide = mode.cr4 % 0x40n >= 0x20n;
  const bits = () => entryBits(random, wide);
  const large = random.oneIn(4);
  const directory = (table: number) =>
    large ? bits() | PS | (random.oneIn(3) ? 0x2000n : 0n) : BigInt(table) | bits();
  return { large, patches: entries(mode, wide, directory, bits) };
}

function entries(
  mode: Mode,
  wide: boolean,
  directory: (table: number) => bigint,
  bits: () => bigint,
): Patch[] {
  if (mode.family === "long") {
    const [pointers, directories, table] = [
      ROOT.long + 0x1008,
      ROOT.pae + 0x4000,
      ROOT.pae + 0x3000,
    ];
    const fifth = hasFiveLevels(mode)
      ? [entry(ROOT.la57 + 8, BigInt(ROOT.long) | bits(), true)]
      : [];
    return [
      ...fifth,
      entry(pointers, BigInt(directories) | bits(), true),
      entry(directories, directory(table), true),
      entry(table, FRAME | bits(), true),
    ];
  }
  if (wide) {
    return [
      entry(ROOT.pae + 0x1010, directory(ROOT.pae + 0x3000), true),
      entry(ROOT.pae + 0x3000, FRAME | bits(), true),
    ];
  }
  return [
    entry(ROOT.legacy + 4, directory(ROOT.legacy + 0x2000), false),
    entry(ROOT.legacy + 0x2000, FRAME | bits(), false),
  ];
}

function hasFiveLevels({ cr4 }: Mode): boolean {
  return (cr4 & BigInt(CR4.LA57)) !== 0n;
}

/** Takes from user mode what the kernel needs itself, so that SMEP and SMAP leave it alone: the pages before the one of the trial. */
function supervisorPages(mode: Mode, wide: boolean): Patch {
  if (mode.family === "long") {
    return entry(ROOT.long + 0x1000, BigInt(ROOT.long + 0x2000) | KERNEL_TABLE, true);
  }
  return wide
    ? entry(ROOT.pae + 0x1000, BigInt(ROOT.pae + 0x2000) | KERNEL_TABLE, true)
    : entry(ROOT.legacy, BigInt(ROOT.legacy + 0x1000) | KERNEL_TABLE, false);
}

/** A trial of one access. */
export function pagingTrial(random: Random, mode: Mode, name: string): Trial {
  const { patches, large } = tables(random, mode);
  const wide = (mode.cr4 & BigInt(CR4.PAE)) !== 0n;
  // The kernel's pages are open to users as a rule: it could not run with SMEP and SMAP.
  const closed = !mode.user && random.oneIn(2);
  if (closed) patches.push(supervisorPages(mode, wide));
  // What stands behind a large page is no code.
  const [code, offset] = random.pick(
    large ? ACCESSES.filter((access) => access !== FETCH) : ACCESSES,
  );
  const page = mode.family !== "long"
    ? SPECIAL_PAGES
    : hasFiveLevels(mode)
    ? FIFTH_SLOT + LONG_PAGE
    : LONG_PAGE;
  const top = mode.user ? AT.userStack : AT.kernelStack;
  const general = Array.from({ length: 16 }, () => 0n);
  general[RAX] = BigInt(page + offset);
  general[RCX] = 0x1234_5678n;
  general[RSP] = BigInt(top);
  const turned = (value: bigint, bit: number) => random.oneIn(3) ? value ^ BigInt(bit) : value;
  let cr4 = turned(mode.cr4, CR4.PGE);
  if (mode.family === "protected" && !(cr4 & BigInt(CR4.PAE))) cr4 = turned(cr4, CR4.PSE);
  if (mode.user || closed) {
    cr4 = turned(turned(cr4, CR4.SMEP), CR4.SMAP);
  }
  return {
    name,
    mode,
    code: Uint8Array.from(code),
    general,
    rflags: BigInt(RFLAGS.FIXED) | (random.oneIn(2) ? BigInt(RFLAGS.AC) : 0n),
    patches: [...patches, {
      address: Number(FRAME),
      bytes: Uint8Array.of(0x0f, 0x0b),
    }],
    control: {
      cr0: turned(mode.cr0, CR0.WP),
      cr4,
      efer: turned(mode.efer, EFER.NXE),
    },
  };
}
