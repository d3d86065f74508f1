// Code that changes while it runs: by its own stores, however they reach it, by the VMM, and by other page tables.
import { assert, assertEquals } from "@std/assert";
import { gpa } from "../../base/address.ts";
import { renderDiagnostic } from "../../base/diagnostic.ts";
import { assemble, sourceOfFile } from "../../guest/asm/assemble.ts";
import { bareImage, everyException, startedVcpu } from "../testing.ts";
import type { Vcpu } from "../vcpu.ts";
import { embedded } from "./engine.ts";

const START = 0x10_0000;
const MEMORY = 4 << 20;

/** Makes linear addresses from 1 GiB on lead where those from 0 on do. */
const ALIAS = `
    mov   rbx, cr3
    mov   rbx, [rbx]
    and   rbx, ~0xfff
    mov   rcx, [rbx]
    mov   [rbx + 8], rcx
`;

interface Row {
  readonly name: string;
  readonly text: string;
  /** What RAX holds at the end. */
  readonly rax: bigint;
}

const ROWS: readonly Row[] = [
  {
    name: "a store into the instruction after it",
    text: "start: mov byte [rel next + 1], 5\nnext: mov al, 1\nmovzx eax, al\nhlt",
    rax: 5n,
  },
  {
    name: "a hot function is patched through another linear address",
    text: `start: ${ALIAS}
      mov  ecx, 5000
    .hot: call f
      dec  ecx
      jnz  .hot
      mov  rbx, f + 0x40000000
      mov  byte [rbx + 1], 7
      call f
      hlt
    f: mov eax, 1
      ret`,
    rax: 7n,
  },
  {
    name: "a loop patches its own immediate",
    text: `start: xor eax, eax
      mov  ecx, 200
    again: add eax, 1 ; 83 c0 ib
      inc  byte [rel again + 2]
      and  byte [rel again + 2], 0x7f
      dec  ecx
      jnz  again
      hlt`,
    // 1 to 127, 0 to 72.
    rax: BigInt(127 * 64 + 72 * 36 + 36),
  },
  {
    name: "the part of an instruction that is on the next page is patched",
    text: `start: mov ecx, 300
    .hot: call edge
      dec  ecx
      jnz  .hot
      mov  dword [rel edge + 1], 0x01020304
      call edge
      hlt
      times 4093 - ($ - $$) nop
    edge: mov eax, 1
      ret`,
    rax: 0x01020304n,
  },
  {
    name: "REP STOSB writes over what comes next",
    text: `start: mov eax, 0x90
      lea  rdi, [rel gone]
      mov  ecx, behind - gone
      rep  stosb
    gone: mov eax, 1
      mov  eax, 2
      hlt
    behind: hlt`,
    rax: 0x90n,
  },
  {
    name: "REP MOVSB copies other code over a function that ran",
    text: `start: mov ebx, 100
    .hot: call f
      dec  ebx
      jnz  .hot
      lea  rsi, [rel g]
      lea  rdi, [rel f]
      mov  ecx, 6
      rep  movsb
      call f
      hlt
    f: mov eax, 1
      ret
    g: mov eax, 9
      ret`,
    rax: 9n,
  },
  {
    name: "PUSH and CALL put a stack into code that ran",
    text: `start: mov ebx, 100
    .hot: call f
      dec  ebx
      jnz  .hot
      mov  rdi, rsp
      lea  rsp, [rel f + 8]
      mov  rax, 0xc300000003b8 ; mov eax, 3; ret
      push rax
      mov  rsp, rdi
      call f
      hlt
    f: mov eax, 1
      ret
      nop
      nop`,
    rax: 3n,
  },
  {
    name: "locked and vector stores change code",
    text: `start: mov ebx, 100
    .hot: call f
      dec  ebx
      jnz  .hot
      mov  al, 1
      mov  cl, 6
      lock cmpxchg [rel f + 1], cl
      call f
      mov  esi, eax
      movups xmm0, [rel g]
      movups [rel f], xmm0
      call f
      shl  esi, 8
      or   eax, esi
      hlt
    f: mov eax, 1
      ret
      times 10 nop
    g: mov eax, 2
      ret
      times 10 nop`,
    rax: 0x602n,
  },
  {
    name: "page tables and INVLPG bring other code to an address",
    text: `start: ${ALIAS}
      ; a page of its own at 2 GiB: entry 2 of the pointers, a directory and a table that follow the code
      lea  rdx, [rel directory]
      or   rdx, 3
      mov  [rbx + 16], rdx
      lea  rdx, [rel table]
      or   rdx, 3
      mov  [rel directory], rdx
      lea  rdx, [rel one]
      or   rdx, 3
      mov  [rel table], rdx
      mov  rdi, 0x80000000
      mov  ebp, 100
    .hot: call rdi
      dec  ebp
      jnz  .hot
      mov  esi, eax
      lea  rdx, [rel two]
      or   rdx, 3
      mov  [rel table], rdx
      invlpg [rdi]
      call rdi
      shl  esi, 8
      or   eax, esi
      hlt
      align 4096
    one: mov eax, 0x11
      ret
      align 4096
    two: mov eax, 0x22
      ret
      align 4096
    directory: times 512 dq 0
    table: times 512 dq 0`,
    rax: 0x1122n,
  },
];

function started(text: string): { vcpu: Vcpu; symbols: Readonly<Record<string, bigint>> } {
  const source = sourceOfFile({ name: "code.asm", text });
  const { assembled, diagnostics } = assemble([source], { bits: 64, origin: START });
  assert(assembled, diagnostics.map(renderDiagnostic).join("\n"));
  const { bytes, symbols } = assembled;
  const placed = [{ address: START, bytes }];
  const image = bareImage({ entry: "long64", memory: MEMORY, start: START, placed });
  return { vcpu: startedVcpu(embedded, image, { controls: everyException() }), symbols };
}

/** Runs until HLT, in grants of so many instructions. */
function toHalt(vcpu: Vcpu, grant: number): bigint {
  for (let i = 0; i < 100_000; i++) {
    const stop = vcpu.run(grant);
    if (stop.reason === "idle") return vcpu.get("rax");
    assertEquals(stop.reason, "budget", JSON.stringify(stop, (_, v) => `${v}`));
  }
  throw new Error("The program does not end");
}

for (const { name, text, rax } of ROWS) {
  Deno.test(`changed code is what runs when ${name}`, () => {
    for (const grant of [1_000_000, 1, 7]) {
      const { vcpu } = started(text);
      assertEquals(toHalt(vcpu, grant), rax, `in grants of ${grant}`);
      vcpu.dispose();
    }
  });
}

Deno.test("changed code is what runs when the VMM, or a device, writes it", () => {
  const { vcpu, symbols } = started(`start: mov ebx, 1000
    .hot: call f
      dec  ebx
      jnz  .hot
      hlt
      jmp  start
    f: mov eax, 1
      ret`);
  const f = symbols["f"];
  assert(f !== undefined);
  for (const value of [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]) {
    vcpu.memory.write(gpa(Number(f) + 1), Uint8Array.of(value));
    assertEquals(toHalt(vcpu, 1_000_000), BigInt(value));
  }
  vcpu.dispose();
});

Deno.test("REP STOSB that writes over itself ends the same way however it is granted", () => {
  const text = `start: mov eax, 0x90
      lea  rdi, [rel from]
      mov  ecx, behind - from
    from: rep stosb
      mov  eax, 1
    behind: hlt`;
  const ends = [1_000_000, 1, 3].map((grant) => {
    const { vcpu } = started(text);
    const rax = toHalt(vcpu, grant);
    const end = [rax, vcpu.get("rcx"), vcpu.get("rdi"), vcpu.get("rip")];
    vcpu.dispose();
    return end;
  });
  assertEquals(ends[1], ends[0]);
  assertEquals(ends[2], ends[0]);
});
