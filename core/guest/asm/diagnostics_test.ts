// What is said about mistakes: the message, the very place, and what to do instead.
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { assemble, sourceOfFile } from "./assemble.ts";

interface Mistake {
  readonly text: string;
  readonly bits?: 16 | 32 | 64;
  readonly message: string;
  /** The text that the caret stands under. */
  readonly at: string;
  readonly suggestion?: string;
  readonly severity?: "warning";
}

const MISTAKES: readonly Mistake[] = [
  {
    text: "mov rax, bl",
    message: "Operand sizes differ: rax (qword) and bl (byte)",
    at: "rax, bl",
    suggestion: 'Use "movzx" or "movsx" to extend the smaller one',
  },
  {
    text: "out dx, rax",
    message: "Operand sizes differ: dx (word) and rax (qword)",
    at: "dx, rax",
  },
  { text: "jmp nowhere", message: 'Label or constant "nowhere" is not defined', at: "nowhere" },
  {
    text: "finish: jmp finsh",
    message: '"finsh" is not defined',
    at: "finsh",
    suggestion: 'Did you mean "finish"?',
  },
  {
    text: "a: nop\n.loop: nop\nb: jmp .loop",
    message: '"b.loop" is not defined',
    at: ".loop",
    suggestion: 'A local label belongs to the label above it: this one is "a.loop"',
  },
  {
    text: "a: jmp .lop\n.loop: nop",
    message: '"a.lop" is not defined',
    at: ".lop",
    suggestion: 'Did you mean "a.loop"?',
  },
  {
    text: "pv consol_write",
    message: 'Unknown pv-op "consol_write"',
    at: "consol_write",
    suggestion: 'Did you mean "console_write"?',
  },
  {
    text: "mvo rax, rbx",
    message: 'Unknown instruction or directive "mvo"',
    at: "mvo",
    suggestion: 'Did you mean "mov"?',
  },
  {
    text: "hltt",
    message: "taken as a label",
    at: "hltt",
    suggestion: 'Did you mean "hlt"?',
    severity: "warning",
  },
  {
    text: "mov raxx, 5",
    message: '"raxx" is not defined',
    at: "raxx",
    suggestion: 'Did you mean "rax"?',
  },
  {
    text: "mov [rbx], 5",
    message: "Size of the memory operand is not specified",
    at: "[rbx]",
    suggestion: "Write byte, word, dword or qword in front of it",
  },
  {
    text: "mov dword ptr [rax], 5",
    message: 'NASM syntax has no "ptr"',
    at: "ptr",
    suggestion: "Leave it out",
  },
  {
    text: "mov eax, [rbx+rcx*3]",
    message: "An address has one base",
    at: "[rbx+rcx*3]",
  },
  { text: "mov eax, [rbx+ax]", message: "must all have the same size", at: "[rbx+ax]" },
  { text: "mov eax, [rbx*rcx]", message: "registers can only be added", at: "*" },
  {
    text: "mov ax, [cx]",
    bits: 16,
    message: "16-bit addressing adds bx or bp",
    at: "[cx]",
    suggestion: "Use 32-bit registers for anything else",
  },
  { text: "mov r8, 5", bits: 32, message: "Register r8 exists in 64-bit code only", at: "r8" },
  {
    text: "push eax",
    message: "does not exist in 64-bit code",
    at: "eax",
    suggestion: 'Did you mean "rax"?',
  },
  { text: "aaa", message: '"aaa" with these operands does not exist in 64-bit code', at: "aaa" },
  { text: "inc", message: '"inc" takes 1 operand, not 0', at: "inc" },
  { text: "mov eax, ebx, ecx", message: '"mov" takes 2 operands, not 3', at: "eax, ebx, ecx" },
  {
    text: "mov [rax], [rbx]",
    message: '"mov" does not take these operands: memory, memory',
    at: "[rax], [rbx]",
    suggestion: "go through a register",
  },
  {
    text: "shl eax, bl",
    message: '"shl" does not take these operands',
    at: "eax, bl",
    suggestion: "The count is a constant or cl",
  },
  {
    text: "mov ds, 5",
    message: '"mov" does not take these operands',
    at: "ds, 5",
    suggestion: "A segment register is loaded from a register or memory",
  },
  {
    text: "mov ah, r8b",
    message: "can't be encoded",
    at: "mov ah, r8b",
    suggestion: "ah, bh, ch and dh can't stand beside",
  },
  {
    text: "start: jmp short end\ntimes 200 nop\nend:",
    message: "Target of the short jump is 200 bytes away",
    at: "short",
    suggestion: 'Leave out "short"',
  },
  {
    text: "out 0x3f8, al",
    message: "1016 does not fit a byte and is cut",
    at: "0x3f8",
    suggestion: "Ports above 0xff are reached by dx",
    severity: "warning",
  },
  {
    text: "mov al, 300",
    message: "300 does not fit a byte and is cut",
    at: "300",
    severity: "warning",
  },
  {
    text: "add rax, 0x123456789",
    message: "does not fit 32 bits with a sign",
    at: "0x123456789",
    suggestion: "Load it into a register first",
    severity: "warning",
  },
  { text: "lock nop", message: "can't be locked", at: "lock", severity: "warning" },
  { text: 'db "abc', message: "String has no end", at: '"abc' },
  { text: "mov rax, 5 +", message: "Expected an expression after this", at: "+" },
  { text: "mov rax, 5 5", message: 'Expected the end of the line instead of "5"', at: "5" },
  { text: "db 0x", message: "Not a number: 0x", at: "0x" },
  { text: "db 5 / 0", message: "Division by zero", at: "/" },
  { text: "times -5 nop", message: "A count can't be negative: this one is -5", at: "times" },
  {
    text: "x: nop\nx: nop",
    message: '"x" is already defined',
    at: "x",
    suggestion: "test.asm:1:1",
  },
  {
    text: "x = 5",
    message: 'Constants are defined with "equ"',
    at: "x",
    suggestion: 'Write "x equ"',
  },
  { text: "rax: nop", message: '"rax" is a register', at: "rax" },
  { text: "align 3", message: "An alignment is a power of two", at: "align" },
  { text: "nop\norg 5", message: '"org" must come before any code', at: "org" },
  { text: "bits 8", message: "Code has 16, 32 or 64 bits", at: "bits" },
  { text: "extern foo", message: "There is no linker", at: "extern", suggestion: "%include" },
  {
    text: "section .txt",
    message: 'Section ".txt" is not supported',
    at: ".txt",
    suggestion: ".text",
  },
  { text: '%include "nope.inc"', message: 'There is no file "nope.inc"', at: '"nope.inc"' },
  {
    text: "%defin x 5",
    message: 'Unknown or unsupported preprocessor directive "%defin"',
    at: "%defin",
    suggestion: 'Did you mean "%define"?',
  },
  { text: "%if foo\n%endif", message: 'The value of "foo" is not known yet', at: "foo" },
  { text: "%if 1", message: '"%if" has no "%endif"', at: "%if" },
  { text: "%endif", message: '"%endif" has no "%if"', at: "%endif" },
  { text: "%else", message: '"%else" has no "%if"', at: "%else" },
  { text: "%rep 3\nnop", message: '"%rep" has no "%endrep"', at: "%rep" },
  { text: "%macro m 1\nnop", message: '"%macro" has no "%endmacro"', at: "%macro" },
  {
    text: "%macro m 1\nnop\n%endmacro\nm",
    message: 'Macro "m" takes 1 argument, not 0',
    at: "m",
  },
  {
    text: "%macro m 2\nnop\n%endmacro\nm 1",
    message: 'Macro "m" takes 2 arguments, not 1',
    at: "m",
  },
  {
    text: "%macro m 1\nmov rax, %1\n%endmacro\n m bl",
    message: "Operand sizes differ: rax (qword) and bl (byte)",
    at: "rax",
    suggestion: 'Used by "m" at test.asm:4:2',
  },
  {
    text: "%macro m 0\nfrob eax\n%endmacro\n m",
    message: 'Unknown instruction or directive "frob"',
    at: "frob",
    suggestion: 'Used by "m" at test.asm:4:2',
  },
  { text: "%error wrong way", message: "wrong way", at: "%error" },
  { text: "nop \u0001", message: "Unexpected character", at: "\u0001" },
];

for (const mistake of MISTAKES) {
  Deno.test(`assemble() explains ${JSON.stringify(mistake.text)}`, () => {
    const { text, bits = 64, severity = "error" } = mistake;
    const result = assemble([sourceOfFile({ name: "test.asm", text })], {
      bits,
      origin: 0,
      include: () => undefined,
      pv: () => undefined,
      pvNames: ["console_write", "shutdown"],
    });
    assertEquals(
      result.diagnostics.length,
      1,
      JSON.stringify(result.diagnostics.map((d) => d.message)),
    );
    const [found] = result.diagnostics;
    assert(found?.span);
    assertStringIncludes(found.message, mistake.message);
    assertEquals(found.severity, severity);
    assertEquals(text.slice(found.span.start, found.span.end), mistake.at);
    if (mistake.suggestion) assertStringIncludes(found.suggestion ?? "", mistake.suggestion);
    assertEquals(result.assembled === undefined, severity === "error");
  });
}

Deno.test("assemble() reports all mistakes at once, in the order of the text", () => {
  const text = "mov rax, bl\nout dx, rax\nmvo eax, 1\njmp nowhere\npv consol_write\n";
  const { diagnostics } = assemble([sourceOfFile({ name: "broken.asm", text })], {
    bits: 64,
    origin: 0,
    pv: () => undefined,
  });
  assertEquals(
    diagnostics.map((d) => text.slice(d.span?.start, d.span?.end)),
    ["rax, bl", "dx, rax", "mvo", "nowhere", "consol_write"],
  );
});
