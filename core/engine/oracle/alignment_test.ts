// Alignment checks: what an AMD processor (Zen 4) said of each form in user mode under Linux, with EFLAGS.AC set.
import { assertEquals } from "@std/assert";
import { CR0, CR4, RFLAGS, VECTOR } from "../../base/registers.ts";
import { EmbeddedCpu } from "./embedded.ts";
import { modeOf } from "./machine.ts";
import { situation } from "./situation.ts";
import { systemTrial } from "./system_trials.ts";

const { AC, GP } = VECTOR;
const DONE = undefined;

/** RBX is aligned to 256 bytes; nothing is mapped at 8 MiB. */
const ROWS: readonly (readonly [text: string, vector: number | undefined])[] = [
  ["mov al, [rbx + 1]", DONE],
  ["mov ax, [rbx + 1]", AC],
  ["mov eax, [rbx + 2]", AC],
  ["mov eax, [rbx + 4]", DONE],
  ["mov rax, [rbx + 4]", AC],
  ["mov rax, [rbx + 8]", DONE],
  ["mov [rbx + 2], eax", AC],
  ["add [rbx + 1], ax", AC],
  ["mov rax, [rbx + 0xffd]", AC],
  ["mov edx, 0x800000; mov eax, [rdx + 1]", AC],
  ["lea rsp, [rsp - 4]; push rax", AC],
  ["lea rsp, [rsp - 4]; call $ + 5", AC],
  ["lea rsi, [rbx + 4]; lea rdi, [rbx + 8]; movsq", AC],
  ["mov rsi, rbx; lea rdi, [rbx + 1]; mov ecx, 3; rep movsb", DONE],
  ["bt dword [rbx + 1], 3", AC],
  ["cmpxchg8b [rbx + 4]", AC],
  ["cmpxchg16b [rbx + 8]", GP],
  ["movups xmm0, [rbx + 8]", AC],
  ["movups [rbx + 1], xmm0", AC],
  ["movups xmm0, [rbx + 16]", DONE],
  ["lddqu xmm0, [rbx + 1]", AC],
  ["movaps xmm0, [rbx + 8]", GP],
  ["addps xmm0, [rbx + 8]", GP],
  ["mpsadbw xmm0, [rbx + 4], 0", GP],
  ["pcmpistri xmm0, [rbx + 1], 0", AC],
  ["movsd xmm0, [rbx + 4]", AC],
  ["movlps xmm0, [rbx + 4]", AC],
  ["movd xmm0, [rbx + 2]", AC],
  ["pmovzxbd xmm0, [rbx + 1]", AC],
  ["pmovzxbw xmm0, [rbx + 4]", AC],
  ["stmxcsr [rbx + 2]", AC],
  ["fld qword [rbx + 4]", AC],
  ["fld tword [rbx + 2]", AC],
  ["fld tword [rbx + 8]", DONE],
  ["fnstcw [rbx + 1]", AC],
  ["fnstenv [rbx + 2]", AC],
  ["fxsave [rbx + 8]", GP],
];

for (const armed of [true, false]) {
  Deno.test(`user mode's misaligned accesses ${armed ? "fault where CR0.AM and AC are set" : "do not fault without CR0.AM"}`, () => {
    const mode = modeOf("long64/3");
    const cpu = new EmbeddedCpu();
    const control = {
      cr0: mode.cr0 | (armed ? BigInt(CR0.AM) : 0n),
      cr4: mode.cr4 | BigInt(CR4.OSFXSR),
      efer: mode.efer,
    };
    for (const [text, vector] of ROWS) {
      const trial = { ...systemTrial(mode, text), rflags: BigInt(RFLAGS.AC | 2), control };
      const outcome = cpu.run(trial);
      const { fault } = situation(trial, outcome, outcome);
      if (!armed && vector === AC) {
        assertEquals(fault?.vector === AC, false, text);
        continue;
      }
      assertEquals(fault?.vector, vector, text);
      if (vector === AC) assertEquals(fault?.errorCode, 0, text);
    }
    cpu.dispose();
  });
}

Deno.test("the kernel's accesses may be misaligned, also those that the CPU makes for user mode", () => {
  const cpu = new EmbeddedCpu();
  for (const [name, text] of [["long64/0", "mov eax, [rbx + 1]"], ["long64/3", "int3"]] as const) {
    const mode = modeOf(name);
    const control = { cr0: mode.cr0 | BigInt(CR0.AM), cr4: mode.cr4, efer: mode.efer };
    const trial = { ...systemTrial(mode, text), rflags: BigInt(RFLAGS.AC | 2), control };
    const outcome = cpu.run(trial);
    assertEquals(situation(trial, outcome, outcome).fault?.vector, text === "int3" ? 3 : undefined);
  }
  cpu.dispose();
});
