// Trials of system instructions: the table of snippets, assembled for a mode, on registers and data that they expect.
import { assemble, sourceOfFile } from "../../guest/asm/assemble.ts";
import { AT, GDT_BYTES, type Mode } from "./machine.ts";
import { BY_SELECTOR, COMMON, LONG, PROTECTED, REAL } from "./system_snippets.ts";
import type { Trial } from "./trial.ts";

/** A place in the data, at which EBX points; a stack for returns to outer levels. */
const POINTED = AT.data + 0x100, RETURN_STACK = AT.data + 0x700;

const WIDTHS: Readonly<Record<16 | 32 | 64, readonly [string, string][]>> = {
  16: [],
  32: [
    ["XAX", "eax"],
    ["XBX", "ebx"],
    ["XCX", "ecx"],
    ["XSP", "esp"],
    ["RETF", "retf"],
    ["IRET_", "iretd"],
    ["PUSHF_", "pushfd"],
    ["POPF_", "popfd"],
  ],
  64: [
    ["XAX", "rax"],
    ["XBX", "rbx"],
    ["XCX", "rcx"],
    ["XSP", "rsp"],
    ["RETF", "o64 retf"],
    ["IRET_", "iretq"],
    ["PUSHF_", "pushfq"],
    ["POPF_", "popfq"],
  ],
};

/** The snippets of a mode. */
export function snippets(mode: Mode): string[] {
  if (mode.family === "real") return [...REAL];
  if (mode.bits === 16) return [];
  const selectors = Array.from(
    { length: GDT_BYTES / 8 + 1 },
    (_, i) => `0x${(8 * i).toString(16)}`,
  );
  return [
    ...COMMON,
    ...selectors.flatMap((selector) => BY_SELECTOR.map((text) => text.replaceAll("SEL", selector))),
    ...(mode.bits === 64 ? LONG : PROTECTED),
  ];
}

/** All system trials of a mode. */
export function systemTrials(mode: Mode): Trial[] {
  return snippets(mode).map((text) => systemTrial(mode, text));
}

/** One snippet as a trial. */
export function systemTrial(mode: Mode, text: string): Trial {
  const long = mode.bits === 64;
  const wide = (value: bigint) => long ? value << 32n | value : value;
  const pointer = (offset: number) => BigInt(mode.bits === 16 ? offset : AT.data + offset);
  const top = mode.user ? AT.userStack : AT.kernelStack - 0x100;
  return {
    name: text,
    mode,
    code: assembleSnippet(mode, text),
    general: [
      wide(0x11112222n),
      wide(0x33330004n),
      wide(0x55550080n),
      pointer(0x100),
      BigInt(mode.bits === 16 ? top & 0xffff : top),
      pointer(0x800),
      pointer(0x200),
      pointer(0x300),
      0x8888888888888888n,
      0n,
      0n,
      0x202n,
      ...[0n, 0n, 0n, 0n],
    ].map((value) => long ? value : BigInt.asUintN(32, value)),
    rflags: mode.family === "real" ? 0x3002n : 2n,
    patches: [{
      address: POINTED,
      bytes: Uint8Array.of(0x78, 0x56, 0x34, 0x12, 0xf0, 0xde, 0xbc, 0x9a, 0x10),
    }],
  };
}

function assembleSnippet(mode: Mode, text: string): Uint8Array {
  const target = mode.family === "real" ? AT.target - AT.code : AT.target;
  const lines = [
    `gt equ ${target}`,
    `gdt equ ${AT.gdt}`,
    `code equ ${AT.code}`,
    `data equ ${AT.data}`,
    `ustk equ ${RETURN_STACK}`,
    ...WIDTHS[mode.bits].map(([name, value]) => `%define ${name} ${value}`),
    ...text.split("; "),
  ];
  const source = sourceOfFile({ name: "trial.asm", text: lines.join("\n") });
  const { assembled, diagnostics } = assemble([source], { bits: mode.bits, origin: 0 });
  if (!assembled) {
    throw new Error(`${text}: ${diagnostics.map(({ message }) => message).join("; ")}`);
  }
  return assembled.bytes;
}
