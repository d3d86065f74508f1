import { assertEquals } from "@std/assert";
import { fromHexBytes } from "../base/hex.ts";
import { disassemble } from "./disassemble.ts";

const CASES: readonly (readonly [string, 16 | 32 | 64, bigint, string])[] = [
  ["0f22d8", 64, 0x100000n, "mov cr3, rax"],
  ["ee", 64, 0n, "out dx, al"],
  ["e6f4", 16, 0n, "out 0xf4, al"],
  ["ebfe", 64, 0x100000n, "jmp 0x100000"],
  ["b8050000000f0b", 32, 0n, "mov eax, 5"],
  ["06", 64, 0n, "(bad)"],
  ["", 64, 0n, ""],
];

for (const [bytes, bitness, rip, text] of CASES) {
  Deno.test(`disassemble() gives "${text}" when given "${bytes}" in ${bitness}-bit mode`, () => {
    assertEquals(disassemble(fromHexBytes(bytes), bitness, rip), text);
  });
}
