// What assemble() hands on besides bytes (symbols, line map, pv-ops), and how its language reads without NASM at hand.
import { assert, assertEquals } from "@std/assert";
import { hexBytes } from "../../base/hex.ts";
import { describeSpan, type SourceFile } from "../../base/source.ts";
import { assemble, type Assembled, type AssembleOptions, sourceOfFile } from "./assemble.ts";

function assembled(
  text: string | readonly SourceFile[],
  options: Partial<AssembleOptions> = {},
): Assembled {
  const files = typeof text === "string" ? [{ name: "test.asm", text }] : text;
  const result = assemble(files.map(sourceOfFile), { bits: 64, origin: 0, ...options });
  assert(result.assembled, result.diagnostics.map((d) => d.message).join("; "));
  return result.assembled;
}

/** Text, bytes in hexadecimal, and bits if not 64. */
const ENCODINGS: readonly (readonly [string, string, (16 | 32 | 64)?])[] = [
  ["mov rax, rbx", "4889d8"],
  ["mov rax, 5", "b805000000"],
  ["mov rax, -1", "48c7c0ffffffff"],
  ["mov rax, 0x123456789a", "48b89a78563412000000"],
  ["add rax, 5", "4883c005"],
  ["add rax, 500", "4805f4010000"],
  ["xchg eax, eax", "87c0"],
  ["lea rax, [rcx*3]", "488d0449"],
  ["mov [rsp], al", "880424"],
  ["mov rax, [r13]", "498b4500"],
  ["rep movsb", "f3a4"],
  ["lock inc dword [rax]", "f0ff00"],
  ["jmp far [rax]", "48ff28"],
  ["sysretq", "480f07"],
  ["swapgs", "0f01f8"],
  ["movaps xmm1, [rax]", "0f2808"],
  ["vaddps ymm1, ymm2, ymm3", "c5ec58cb"],
  ["jmp 8:0x1234", "ea34120800", 16],
  ["jmp dword 8:0x1234", "66ea341200000800", 16],
  ["mov ax, [bx+si+5]", "8b4005", 16],
  ["push dword 5", "666a05", 16],
  ["inc eax", "40", 32],
  ["mov eax, [0x1234]", "a134120000", 32],
  ["fadd to st3", "dcc3", 32],
];

Deno.test("assemble() encodes as NASM does", () => {
  for (const [text, bytes, bits = 64] of ENCODINGS) {
    assertEquals(hexBytes(assembled(text, { bits }).bytes), bytes, text);
  }
});

Deno.test("assemble() puts labels and constants into symbols", () => {
  const { symbols } = assembled("start: nop\n.a: nop\nsecond: nop\n.a: nop\nk equ -1\n", {
    origin: 0x100000,
  });
  assertEquals(symbols, {
    "start": 0x100000n,
    "start.a": 0x100001n,
    "second": 0x100002n,
    "second.a": 0x100003n,
    "k": 0xffffffffffffffffn,
  });
});

Deno.test("assemble() leaves the labels of macros out of symbols", () => {
  const { symbols } = assembled("%macro m 0\n%%x: jmp %%x\n%endmacro\nm\nm\nstart:\n");
  assertEquals(symbols, { start: 4n });
});

Deno.test("assemble() keeps room at the end out of the bytes, and in the end", () => {
  const { bytes, end, origin } = assembled("db 1\nresb 3\ndb 2\nbuffer: resq 2\n", {
    origin: 0x1000,
  });
  assertEquals([...bytes], [1, 0, 0, 0, 2]);
  assertEquals([origin, end], [0x1000, 0x1000 + 5 + 16]);
});

Deno.test("assemble() starts where org says", () => {
  const { origin, symbols } = assembled("org 0x7c00\nstart: nop", { bits: 16, origin: 0x500 });
  assertEquals([origin, symbols["start"]], [0x7c00, 0x7c00n]);
});

Deno.test("assemble() maps each line to its bytes", () => {
  const { lines } = assembled("start: nop\n\n  mov eax, 5 ; five\n times 3 nop\nk equ 5\n", {
    origin: 0x100,
  });
  assertEquals(
    lines.map(({ address, length, span }) => [
      address,
      length,
      describeSpan(span),
      span.file.text.slice(span.start, span.end),
    ]),
    [
      [0x100, 1, "test.asm:1:8", "nop"],
      [0x101, 5, "test.asm:3:3", "mov eax, 5"],
      [0x106, 3, "test.asm:4:2", "times 3 nop"],
    ],
  );
});

Deno.test("assemble() maps what a macro or pv-op brings to the line that uses it", () => {
  const { lines } = assembled("%macro two 0\nnop\ninc eax\n%endmacro\n two\n pv stop\n hlt\n", {
    pv: () => "cli\nhlt",
  });
  assertEquals(
    lines.map((l) => [l.address, l.length, describeSpan(l.span)]),
    [[0, 3, "test.asm:5:2"], [3, 2, "test.asm:6:2"], [5, 1, "test.asm:7:2"]],
  );
});

Deno.test("assemble() expands pv-ops and names them", () => {
  const texts: Record<string, string> = { stop: "%%again: hlt\njmp %%again", none: "" };
  const { bytes, pvOps, symbols } = assembled("start: pv stop\nlater: pv stop\npv none\n", {
    pv: (name) => texts[name],
  });
  assertEquals(hexBytes(bytes), "f4ebfdf4ebfd");
  assertEquals(pvOps, ["none", "stop"]);
  assertEquals(symbols, { start: 0n, later: 3n });
});

Deno.test("assemble() takes several sources as one unit", () => {
  const { bytes, symbols } = assembled([
    { name: "a.asm", text: "call helper\n.x: ret\nbits 32\n%define FIVE 5\n" },
    { name: "b.asm", text: "helper: mov rax, rbx\n.x: db FIVE\n" },
  ]);
  assertEquals(hexBytes(bytes), "e801000000c34889d805", "the mode is 64-bit again in the second");
  assertEquals(symbols, { ".x": 5n, "helper": 6n, "helper.x": 9n });
});

Deno.test("assemble() reads an included file where it is included", () => {
  const { bytes, lines } = assembled('db 1\n%include "lib/x.inc"\ndb VALUE\n', {
    include: (name) => ({ name, text: "%define VALUE 3\ndb 2\n" }),
  });
  assertEquals([...bytes], [1, 2, 3]);
  assertEquals(lines.map((l) => describeSpan(l.span)), [
    "test.asm:1:1",
    "lib/x.inc:2:1",
    "test.asm:3:1",
  ]);
});

Deno.test("assemble() lets an address be cut into pieces, as a descriptor needs", () => {
  // NASM refuses this of a label; here every address is known in the end.
  const { bytes } = assembled("tss: dw tss & 0xffff\ndb (tss >> 16) & 0xff, tss >> 24\n", {
    origin: 0x12345678,
  });
  assertEquals(hexBytes(bytes), "78563412");
});

Deno.test("assemble() gives the same result each time", () => {
  const text = "start: jmp end\n times 130 nop\n pv x\nend: lea rax, [rel start]\n";
  const options = { pv: () => "%%a: jmp %%a" };
  assertEquals(assembled(text, options), assembled(text, options));
});

Deno.test("assemble() accepts an empty program", () => {
  const { bytes, end, symbols, lines } = assembled("\n ; nothing\n", { origin: 0x100 });
  assertEquals([bytes.length, end, symbols, lines.length], [0, 0x100, {}, 0]);
});
