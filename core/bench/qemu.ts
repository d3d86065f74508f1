// Runs kernels on QEMU TCG, for comparison: a firmware image of our own takes its microvm from reset to long mode, copies
// the kernel to 1 MiB and jumps there. No BIOS runs, so that a process takes little more than the kernel itself.
import { assemble, sourceOfFile } from "../guest/asm/assemble.ts";
import { PROGRAM_BASE } from "../guest/layout.ts";

const QEMU = "qemu-system-x86_64";

/** The firmware: 64 KiB that end at 4 GiB. The CPU starts 16 bytes before the end (SDM vol. 3, 10.1.4). */
const ROM_SIZE = 0x10000;
const ROM_BASE = 0x1_0000_0000 - ROM_SIZE;
const RESET_OFFSET = ROM_SIZE - 16;
/** Where in the firmware the kernel lies. */
const KERNEL_OFFSET = 0x1000;
const MACHINE =
  "microvm,accel=tcg,pit=off,pic=off,rtc=off,acpi=off,x-option-roms=off,isa-serial=off,auto-kernel-cmdline=off";

/**
 * From reset to long mode. Page tables at 4 KiB: a PML4, a PDPT, and a directory of 2 MiB pages for the first GiB; it serves
 * for the last GiB too, where its last entry maps the firmware to itself.
 */
const FIRMWARE = `
    bits 16
start:
    cli
    o32 lgdt [cs:gdt_pointer - start]
    mov   eax, cr0
    or    al, 1
    mov   cr0, eax
    jmp   dword 0x08:protected
    bits 32
protected:
    mov   ax, 0x10
    mov   ds, ax
    mov   es, ax
    mov   ss, ax
    cld
    mov   edi, 0x1000
    mov   ecx, 0x3000 / 4
    xor   eax, eax
    rep stosd
    mov   dword [0x1000], 0x2003
    mov   dword [0x2000], 0x3003
    mov   edi, 0x3000
    mov   eax, 0x83
.map:
    mov   [edi], eax
    add   eax, 0x200000
    add   edi, 8
    cmp   edi, 0x4000
    jb    .map
    mov   dword [0x2018], 0x3003
    mov   dword [0x3ff8], 0xffe00083
    mov   esi, ${ROM_BASE + KERNEL_OFFSET}
    mov   edi, ${PROGRAM_BASE}
    mov   ecx, 0x1000 / 4
    rep movsd
    mov   eax, 0x20
    mov   cr4, eax
    mov   eax, 0x1000
    mov   cr3, eax
    mov   ecx, 0xc0000080
    rdmsr
    or    ah, 1
    wrmsr
    mov   eax, cr0
    or    eax, 0x80000000
    mov   cr0, eax
    jmp   0x18:${PROGRAM_BASE}
    align 8
gdt:
    dq 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00af9b000000ffff
gdt_pointer:
    dw 31
    dd gdt
`;

/** The firmware with a kernel in it. */
export function firmware(kernel: Uint8Array): Uint8Array {
  const rom = new Uint8Array(ROM_SIZE).fill(0xf4);
  rom.set(assembled(FIRMWARE, ROM_BASE), 0);
  rom.set(kernel, KERNEL_OFFSET);
  // A near jump from the reset vector to the start of the segment, whose base is the firmware's.
  const distance = -(RESET_OFFSET + 3);
  rom.set([0xe9, distance & 0xff, distance >> 8 & 0xff], RESET_OFFSET);
  return rom;
}

function assembled(text: string, origin: number): Uint8Array {
  const file = { name: "firmware.asm", text };
  const { assembled, diagnostics } = assemble([sourceOfFile(file)], { bits: 16, origin });
  if (!assembled) throw new Error(diagnostics.map((d) => d.message).join("; "));
  return assembled.bytes;
}

/** QEMU's version, or undefined where it is not installed or may not be run. */
export async function qemuVersion(): Promise<string | undefined> {
  try {
    const { stdout } = await new Deno.Command(QEMU, { args: ["--version"] }).output();
    return new TextDecoder().decode(stdout).split("\n")[0];
  } catch {
    return undefined;
  }
}

/** Runs a kernel in a QEMU process; seconds from its start to its end. */
export async function runQemu(romPath: string): Promise<number> {
  const start = performance.now();
  const { code, stderr } = await new Deno.Command(QEMU, {
    args: [
      ...["-M", MACHINE, "-m", "16", "-bios", romPath, "-nodefaults", "-no-user-config"],
      ...["-display", "none", "-device", "isa-debug-exit,iobase=0xf4,iosize=1", "-no-reboot"],
    ],
    signal: AbortSignal.timeout(120_000),
  }).output();
  // isa-debug-exit makes value * 2 + 1 of the 0 that kernels write.
  if (code !== 1) {
    throw new Error(`QEMU: ${new TextDecoder().decode(stderr).trim() || `status ${code}`}`);
  }
  return (performance.now() - start) / 1000;
}
