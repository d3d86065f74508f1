// The ROM by which a guest enters QEMU, which maps it so that it ends at 1 MiB and at 4 GiB: at reset it loads the state in
// which the guest's first instruction runs, and jumps there. It touches no device, so that nothing of it is in the trace.
import { GENERAL_REGISTERS, type GeneralRegister } from "../../base/registers.ts";
import { assemble, sourceOfFile } from "../../guest/asm/assemble.ts";
import type { BootState } from "../../guest/boot.ts";
import { ROM_LOW_BYTES, ROM_LOW_END, SELECTOR } from "../../guest/layout.ts";
import type { Entry } from "../../scenario/case.ts";

/** Its real-mode segment: below 1 MiB, where long64's page tables lead too. All addresses here are offsets in it. */
const SEGMENT = 0xf000, BASE = SEGMENT << 4;
/** Code and parameters begin here; below are a file guest's ACPI tables, where firmware has them. */
const CODE = 0x8000, PARAMETERS = 0xc000;
/** The instruction that a CPU starts with (SDM vol. 3, 10.1.4), and a far jump from there. */
const RESET = 0xfff0;
const JUMP_TO_CODE = [0xea, CODE & 0xff, CODE >> 8, SEGMENT & 0xff, SEGMENT >> 8];

const P = PARAMETERS;
const GDTR = P, IDTR = P + 0x10, FLAGS = P + 0x20, TARGET = P + 0x30, SELECTORS = P + 0x40;
const CR0_AT = P + 0x60, CR2_AT = P + 0x68, CR3_AT = P + 0x70, CR4_AT = P + 0x78;
const EFER_AT = P + 0x80, GENERAL = P + 0x100;

/** Order of the segment registers in `SELECTORS`. */
const SEGMENTS = ["es", "ss", "fs", "gs", "ds"] as const;

/** A parameter's offset from the base that DS has, for a mode. */
type At = (offset: number) => string;

function loadGeneral(names: readonly GeneralRegister[], at: At, prefix: "e" | "r"): string {
  return names.map((name) => {
    const register = prefix === "e" ? name.replace(/^r/, "e") : name;
    return `mov ${register}, ${at(GENERAL + 8 * GENERAL_REGISTERS.indexOf(name))}`;
  }).join("\n");
}

const LEGACY = GENERAL_REGISTERS.slice(0, 8);

/** What every entry begins with: the ROM's data at DS, CR2 and the descriptor tables. Leaves the guest's CR0 in EAX. */
const FROM_RESET = `
    bits 16
    mov   ax, ${SEGMENT}
    mov   ds, ax
    mov   eax, [${CR2_AT}]
    mov   cr2, eax
    o32 lgdt [${GDTR}]
    o32 lidt [${IDTR}]
    mov   eax, [${CR0_AT}]`;

/** Real mode to the end. Flags come off the ROM itself, as there is no stack of ours. */
const REAL = `
${FROM_RESET}
    mov   cr0, eax
    mov   ax, ds
    mov   ss, ax
    mov   sp, ${FLAGS}
    popfd
${SEGMENTS.map((name, i) => `    mov ${name}, [cs:${SELECTORS + 2 * i}]`).join("\n")}
${loadGeneral(LEGACY, (offset) => `[cs:${offset}]`, "e")}
    jmp   far [cs:${TARGET}]
`;

/** Flat 32-bit segments of the guest's own GDT, without paging: long mode switches that on later. */
const ENTER_PROTECTED = `
${FROM_RESET}
    and   eax, 0x7fffffff
    mov   cr0, eax
    jmp   dword ${SELECTOR.code32}:protected
    bits 32
protected:
    mov   ax, ${SELECTOR.data}
    mov   ds, ax
    mov   es, ax
    mov   ss, ax
    mov   fs, ax
    mov   gs, ax
    mov   eax, [${BASE + CR4_AT}]
    mov   cr4, eax
`;

const SYSTEM_SEGMENTS = `
    xor   eax, eax
    lldt  ax
    mov   ax, ${SELECTOR.tss}
    ltr   ax
`;

const PROTECTED = `
${ENTER_PROTECTED}
${SYSTEM_SEGMENTS}
    mov   esp, ${BASE + FLAGS}
    popfd
${loadGeneral(LEGACY, (offset) => `[${BASE + offset}]`, "e")}
    jmp   far [${BASE + TARGET}]
`;

const EFER = 0xc000_0080;

const LONG = `
${ENTER_PROTECTED}
    mov   eax, [${BASE + CR3_AT}]
    mov   cr3, eax
    mov   ecx, ${EFER}
    mov   eax, [${BASE + EFER_AT}]
    xor   edx, edx
    wrmsr
    mov   eax, [${BASE + CR0_AT}]
    mov   cr0, eax
    jmp   ${SELECTOR.code64}:long
    bits 64
long:
    mov   ax, ${SELECTOR.data}
    mov   ss, ax
${SYSTEM_SEGMENTS}
    mov   rsp, ${BASE + FLAGS}
    popfq
${loadGeneral(GENERAL_REGISTERS, (offset) => `[abs ${BASE + offset}]`, "r")}
    jmp   far dword [abs ${BASE + TARGET}]
`;

const PROGRAMS: Readonly<Record<Entry, string>> = {
  real16: REAL,
  protected32: PROTECTED,
  long64: LONG,
};

const assembled = new Map<Entry, Uint8Array>();

function code(entry: Entry): Uint8Array {
  const known = assembled.get(entry);
  if (known) return known;
  // Labels of protected and long mode are linear addresses; real mode has none.
  const text = PROGRAMS[entry];
  const result = assemble([sourceOfFile({ name: `${entry}.asm`, text })], {
    bits: 16,
    origin: entry === "real16" ? CODE : BASE + CODE,
  });
  if (!result.assembled) {
    throw new Error(`QEMU's entry ROM: ${result.diagnostics.map((d) => d.message).join("; ")}`);
  }
  assembled.set(entry, result.assembled.bytes);
  return result.assembled.bytes;
}

/** EFER.LMA is the CPU's own to set. */
const EFER_LMA = 0x400n;

/** What a machine shows of a ROM below 1 MiB starts here. */
const LOW_START = ROM_LOW_END - ROM_LOW_BYTES;

/**
 * The ROM for a state. Its tables must be in memory, the TSS descriptor marked available: loading it makes it busy. What the
 * state places where the ROM is becomes part of it; undefined: there is no room.
 */
export function entryRom(entry: Entry, state: BootState): Uint8Array | undefined {
  const rom = new Uint8Array(ROM_LOW_BYTES);
  for (const { address, bytes } of state.placed) {
    if (address + bytes.length <= LOW_START || address >= ROM_LOW_END) continue;
    if (address < LOW_START || address + bytes.length > BASE + CODE) return undefined;
    rom.set(bytes, address - LOW_START);
  }
  const segment = rom.subarray(BASE - LOW_START);
  segment.set(code(entry), CODE);
  segment.set(JUMP_TO_CODE, RESET);
  setParameters(new DataView(segment.buffer, segment.byteOffset), entry, state);
  return rom;
}

function setParameters(view: DataView, entry: Entry, state: BootState): void {
  const set = (at: number, value: bigint | undefined) => view.setBigUint64(at, value ?? 0n, true);
  for (const [at, table] of [[GDTR, state.gdtr], [IDTR, state.idtr]] as const) {
    view.setUint16(at, table.limit, true);
    set(at + 2, table.base);
  }
  const { special, general, segments } = state;
  set(FLAGS, special.rflags);
  const rip = Number(special.rip ?? 0n);
  if (entry === "real16") {
    view.setUint16(TARGET, rip, true);
    view.setUint16(TARGET + 2, segments.cs.selector, true);
  } else {
    view.setUint32(TARGET, rip, true);
    view.setUint16(TARGET + 4, segments.cs.selector, true);
  }
  SEGMENTS.forEach((name, i) => view.setUint16(SELECTORS + 2 * i, segments[name].selector, true));
  set(CR0_AT, special.cr0);
  set(CR2_AT, special.cr2);
  set(CR3_AT, special.cr3);
  set(CR4_AT, special.cr4);
  set(EFER_AT, (special.efer ?? 0n) & ~EFER_LMA);
  GENERAL_REGISTERS.forEach((name, i) => set(GENERAL + 8 * i, general[name]));
}
