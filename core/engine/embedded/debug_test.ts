// Breakpoints, NMI and traps where translated code runs: in the middle of regions and loops, and around HLT.
import { assert, assertEquals } from "@std/assert";
import { gpa } from "../../base/address.ts";
import { treatments } from "../../cpu/sensitive_operations.ts";
import { assemble } from "../../guest/asm/assemble.ts";
import { bareImage, startedVcpu } from "../testing.ts";
import type { Stop, Vcpu } from "../vcpu.ts";
import { embedded } from "./engine.ts";

const ORIGIN = 0x100000, IDT = 0x200000, LOG = 0x280000;
const FOREVER = 1_000_000;

/** Handlers log a qword: the vector and, in the upper half, the return address less `start`; #DB's adds DR6. */
const HANDLERS = `
handler1:
    push  rax
    mov   rax, dr6
    push  rax
    mov   eax, 0xffff0ff0
    mov   dr6, rax
    pop   rax
    and   eax, 0xe00f
    shl   eax, 8
    or    eax, 1
    jmp   log
handler2:
    push  rax
    mov   eax, 2
log:
    push  rcx
    mov   rcx, [rsp + 16]
    sub   rcx, start
    shl   rcx, 32
    or    rax, rcx
    mov   rcx, [rel next]
    mov   [rcx], rax
    add   qword [rel next], 8
    or    dword [rsp + 32], 0x10000
    pop   rcx
    pop   rax
    iretq
idtr: dw 0xfff
    dq    ${IDT}
    align 8
next: dq ${LOG}
data: dq 0
`;

interface Machine {
  readonly vcpu: Vcpu;
  /** Where a label is. */
  at(label: string): bigint;
  /** What handlers have logged. */
  log(): string[];
}

function start(text: string): Machine {
  const source = `start: lidt [rel idtr]\nmov ebx, data\n${text}\nhlt\njmp $ - 1\n${HANDLERS}`;
  const span = { file: { name: "test", text: source }, start: 0, end: 0 };
  const { assembled, diagnostics } = assemble([{ text: source, span: () => span }], {
    bits: 64,
    origin: ORIGIN,
  });
  assert(assembled, diagnostics.map(({ message }) => message).join("\n"));
  const { bytes, symbols } = assembled;
  const image = bareImage({
    entry: "long64",
    memory: 4 << 20,
    start: ORIGIN,
    placed: [{ address: ORIGIN, bytes }],
  });
  const table = treatments("bare");
  const vcpu = startedVcpu(embedded, image, {
    controls: {
      kernel: table,
      user: table,
      exceptionVia: "fault",
      exceptions: 0,
      paging: "direct",
    },
  });
  const at = (label: string) => {
    const found = symbols[label];
    assert(found !== undefined, label);
    return found;
  };
  for (const vector of [1, 2]) {
    // A 64-bit interrupt gate (SDM vol. 3, figure 6-8).
    const handler = at(`handler${vector}`);
    vcpu.memory.writeU64(
      gpa(IDT + 16 * vector),
      (handler & 0xffffn) | 0x8e00_0008_0000n | (handler >> 16n) << 48n,
    );
  }
  const log = () => {
    const found: string[] = [];
    for (let place = LOG;; place += 8) {
      const entry = vcpu.memory.readU64(gpa(place));
      if (entry === 0n) return found;
      const rip = (entry >> 32n) + BigInt(ORIGIN);
      const causes = Number(entry >> 8n & 0xffffn);
      found.push(`${entry & 0xffn}${causes ? `:${causes.toString(16)}` : ""} +${rip - at("here")}`);
    }
  };
  return { vcpu, at, log };
}

/** In grants of any length: regions must end where something is due. */
function run(vcpu: Vcpu, grant: number): Stop {
  for (;;) {
    const stop = vcpu.run(grant);
    if (stop.reason !== "budget") return stop;
  }
}

const LOOP = `    mov   ecx, 5
    jmp   here
here:
    mov   [rbx], rcx
    mov   rax, [rbx]
    dec   ecx
    jnz   here`;

for (const grant of [FOREVER, 3]) {
  const test = (what: string, body: () => void) =>
    Deno.test(`${what}, in grants of ${grant}`, body);

  test("a breakpoint on an instruction in a loop is met each time round, however it was translated", () => {
    const { vcpu, at, log } = start(LOOP);
    vcpu.setDebugRegister(0, at("here") + 6n);
    vcpu.setDebugRegister(7, 0x401n);
    assertEquals(run(vcpu, grant).reason, "idle");
    assertEquals(log(), new Array(5).fill("1:1 +6"));
    assertEquals(vcpu.get("rcx"), 0n);
  });

  test("a breakpoint on data that a loop stores to traps behind the store alone", () => {
    const { vcpu, at, log } = start(LOOP);
    vcpu.setDebugRegister(3, at("data"));
    // G3, eight bytes, written.
    vcpu.setDebugRegister(7, 0x9000_0480n);
    assertEquals(run(vcpu, grant).reason, "idle");
    assertEquals(log(), new Array(5).fill("1:8 +3"));
  });

  test("breakpoints that are taken away are met no more, and regions are whole again", () => {
    const { vcpu, at, log } = start(LOOP);
    vcpu.setDebugRegister(0, at("here"));
    vcpu.setDebugRegister(7, 0x401n);
    while (log().length < 2) vcpu.run(1);
    vcpu.setDebugRegister(7, 0x400n);
    assertEquals(run(vcpu, grant).reason, "idle");
    assertEquals(log().length, 2);
  });

  test("an NMI comes once, and the next one not before IRET", () => {
    const { vcpu, at, log } = start("    mov ecx, 3\nhere: dec ecx\njnz here");
    while (vcpu.get("rip") !== at("here")) vcpu.run(1);
    vcpu.nmi();
    vcpu.nmi();
    assert(vcpu.eventPending);
    vcpu.run(1);
    // In the handler: this one waits.
    vcpu.nmi();
    assertEquals(vcpu.eventPending, false);
    assertEquals(run(vcpu, grant).reason, "idle");
    assertEquals(log(), ["2 +0", "2 +0"]);
  });

  test("MOV SS holds back NMI and single-stepping; of two in a row only the first does", () => {
    const { vcpu, at, log } = start(`    mov   eax, ss
    mov   edx, 0x102
    push  rdx
    popfq
here:
    mov   ss, eax                      ; +0
    nop                                ; trapped at +3
    mov   ss, eax
    mov   ss, eax                      ; trapped at +7
    sti                                ; at +8
    cli                                ; at +9
    push  2                            ; at +11
    popfq                              ; at +12
    nop`);
    while (vcpu.get("rip") !== at("here")) vcpu.run(1);
    vcpu.run(1);
    vcpu.nmi();
    assertEquals(run(vcpu, grant).reason, "idle");
    const steps = ["1:4000 +3", "1:4000 +7", "1:4000 +8", "1:4000 +9", "1:4000 +11", "1:4000 +12"];
    // The trap of the NOP comes before the NMI, which finds its handler about to start.
    assertEquals(log().filter((entry) => entry.startsWith("1")), steps);
    assertEquals(log().length, steps.length + 1);
  });
}

Deno.test("a trap or an NMI ends HLT at once", () => {
  const { vcpu, at, log } = start("    push 0x102\npopfq\nhere: hlt\npush 2\npopfq\nnop");
  assertEquals(vcpu.run(FOREVER).reason, "idle");
  assertEquals(log(), ["1:4000 +1", "1:4000 +3", "1:4000 +4"]);
  vcpu.nmi();
  assertEquals(vcpu.run(FOREVER).reason, "idle");
  assertEquals(log().length, 4);
  assert(vcpu.get("rip") > at("here"));
});
