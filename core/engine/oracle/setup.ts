// Brings QEMU into a mode: a program that loads what GDB's protocol can't set (descriptor tables, task register, MSRs), from
// parameters in memory. It starts in real mode at `AT.setup` and waits at one of three places when it is done.
import { assemble, sourceOfFile } from "../../guest/asm/assemble.ts";
import { AT, GDT_BYTES, type Mode, msrsOf, SELECTOR } from "./machine.ts";

/** Offsets of the parameters. */
const P = AT.parameters;
const GDTR = P, IDTR = P + 16, KIND = P + 32, CR0_AT = P + 40, CR3_AT = P + 48, CR4_AT = P + 56;
const EFER_AT = P + 64, COUNT = P + 72, LIST = P + 80;
const KINDS = { real: 0, protected: 1, long: 2 } as const;

/** LDTR, TR, and the MSRs of the list. */
function tables(bits: 32 | 64): string {
  const [absolute, pointer] = bits === 64 ? ["abs ", "rbx"] : ["", "ebx"];
  return `
    mov   ax, ${SELECTOR.ldt}
    lldt  ax
    mov   ax, ${SELECTOR.tss}
    ltr   ax
    mov   ebx, ${LIST}
.msr:
    dec   dword [${absolute}${COUNT}]
    js    .done
    mov   ecx, [${pointer}]
    mov   eax, [${pointer} + 8]
    mov   edx, [${pointer} + 12]
    wrmsr
    add   ebx, 16
    jmp   .msr
.done:
`;
}

const PROGRAM = `
    bits 16
setup:
    cli
    xor   eax, eax
    mov   ds, ax
    mov   cr2, eax
    cmp   byte [dword ${KIND}], ${KINDS.real}
    jne   protect
    o32 lidt [dword ${IDTR}]
ready_real:
    jmp   ready_real
protect:
    o32 lgdt [dword ${GDTR}]
    mov   eax, 0x11
    mov   cr0, eax
    jmp   dword ${SELECTOR.setupCode32}:protected
    bits 32
protected:
    mov   ax, ${SELECTOR.setupData}
    mov   ds, ax
    mov   es, ax
    mov   ss, ax
    mov   fs, ax
    mov   gs, ax
    mov   eax, [${CR4_AT}]
    mov   cr4, eax
    mov   eax, [${CR3_AT}]
    mov   cr3, eax
    mov   ecx, 0xc0000080
    mov   eax, [${EFER_AT}]
    xor   edx, edx
    wrmsr
    mov   eax, [${CR0_AT}]
    mov   cr0, eax
    cmp   byte [${KIND}], ${KINDS.long}
    je    long_mode
    lidt  [${IDTR}]
    ${tables(32)}
ready_protected:
    jmp   ready_protected
long_mode:
    jmp   ${SELECTOR.setupCode64}:sixty_four
    bits 64
sixty_four:
    lgdt  [abs ${GDTR}]
    lidt  [abs ${IDTR}]
    xor   eax, eax
    mov   cr8, rax
    ${tables(64)}
ready_long:
    jmp   ready_long
`;

/** The program, and where it waits. */
export const SETUP = assembled();

function assembled(): { bytes: Uint8Array; ready: readonly number[] } {
  const file = { name: "setup.asm", text: PROGRAM };
  const { assembled, diagnostics } = assemble([sourceOfFile(file)], {
    bits: 16,
    origin: AT.setup,
  });
  if (!assembled) throw new Error(diagnostics.map((d) => d.message).join("; "));
  const { symbols, bytes } = assembled;
  const ready = ["ready_real", "ready_protected", "ready_long"].map((name) => {
    const at = symbols[name];
    if (at === undefined) throw new Error(`The setup program has no ${name}`);
    return Number(at);
  });
  return { bytes, ready };
}

/** Limits of GDTR and IDTR. */
export function tableLimits(mode: Mode): { gdt: number; idt: number } {
  return { gdt: GDT_BYTES - 1, idt: mode.family === "long" ? 0xfff : 0x7ff };
}

/** The parameters of a mode, for `AT.parameters`. */
export function parameters(mode: Mode): Uint8Array {
  const view = new DataView(new ArrayBuffer(512));
  const at = (address: number) => address - P;
  const limits = tableLimits(mode);
  const real = mode.family === "real";
  view.setUint16(at(GDTR), limits.gdt, true);
  view.setUint32(at(GDTR) + 2, AT.gdt, true);
  view.setUint16(at(IDTR), real ? 0x3ff : limits.idt, true);
  view.setUint32(at(IDTR) + 2, real ? AT.ivt : AT.idt, true);
  view.setUint8(at(KIND), KINDS[mode.family]);
  view.setBigUint64(at(CR0_AT), mode.cr0, true);
  view.setBigUint64(at(CR3_AT), mode.cr3, true);
  view.setBigUint64(at(CR4_AT), mode.cr4, true);
  // LMA is the CPU's to set.
  view.setBigUint64(at(EFER_AT), mode.efer & ~0x400n, true);
  const msrs = msrsOf(mode);
  view.setUint32(at(COUNT), msrs.length, true);
  msrs.forEach(([msr, value], i) => {
    view.setUint32(at(LIST) + 16 * i, msr, true);
    view.setBigUint64(at(LIST) + 16 * i + 8, value, true);
  });
  return new Uint8Array(view.buffer);
}
