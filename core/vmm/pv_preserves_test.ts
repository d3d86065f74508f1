// Every pv-op leaves every register alone that its entry in the table does not name, on every back end.
import { assertEquals } from "@std/assert";
import { BACKENDS } from "../base/backend.ts";
import { GENERAL_REGISTERS, type GeneralRegister } from "../base/registers.ts";
import { PV_NAMES, PV_OPERATIONS, type PvName } from "../guest/pv/operations.ts";
import { runProgram } from "./testing_runs.ts";

/** Arguments, and what has to come before, for operations that return; the others are in {@linkcode ENDS}. */
interface Call {
  readonly arguments: Partial<Record<GeneralRegister, string>>;
  readonly before?: string;
}

const CALLS: Partial<Record<PvName, Call>> = {
  cpuid: { arguments: { rax: "0", rcx: "0" } },
  trap_set: { arguments: { rdi: "3", rsi: "handler" } },
  syscall_set: { arguments: { rdi: "handler" } },
  user_enter: {
    arguments: { rdi: "user", rsi: "0", rdx: "7" },
    before: `mov rdi, handler
        pv syscall_set
        mov rdi, user
        mov rsi, user
        pv map_user`,
  },
  debug_set: { arguments: { rdi: "7", rsi: "0x400" } },
  debug_get: { arguments: { rdi: "6" } },
  irq_mask: { arguments: {} },
  irq_unmask: { arguments: {} },
  irq_masked: { arguments: {} },
  wait: {
    arguments: {},
    before: `mov rdi, 1
        mov rsi, tick
        pv timer_set`,
  },
  alloc_frame: { arguments: {} },
  map_page: { arguments: { rdi: "0x40000000", rsi: "0x1ff000" } },
  map_user: { arguments: { rdi: "0x40000000", rsi: "0x1ff000" } },
  protect_page: { arguments: { rdi: "page" } },
  unmap_page: { arguments: { rdi: "page" } },
  new_space: { arguments: {} },
  current_space: { arguments: {} },
  switch_space: { arguments: {}, before: "pv current_space\n mov rdi, rax" },
  tlb_flush: { arguments: {} },
  fault_address: { arguments: {} },
  time_now: { arguments: {} },
  timer_set: { arguments: { rdi: "1", rsi: "tick" } },
  timer_periodic: { arguments: { rdi: "1000000", rsi: "tick" } },
  timer_stop: { arguments: {} },
  console_write: { arguments: { rsi: "page", rcx: "5" } },
  block_read: { arguments: { rdi: "0", rsi: "1", rdx: "page" } },
  block_write: { arguments: { rdi: "0", rsi: "1", rdx: "page" } },
};

/** Operations that do not come back. */
const ENDS: readonly PvName[] = ["shutdown", "user_exit"];

/** Registers whose values are compared: all but the stack pointer, which the code after the call could not do without. */
const COMPARED: readonly GeneralRegister[] = GENERAL_REGISTERS.filter((name) => name !== "rsp");

/** The program ends with 0, or with one more than the number of the first register that has changed. */
function program(name: PvName, { arguments: given, before = "" }: Call): string {
  const results = Object.keys(PV_OPERATIONS[name].returns);
  const kept = COMPARED.filter((register) => !results.includes(register));
  const value = (register: GeneralRegister) =>
    `0x${(0x1234567800n + BigInt(COMPARED.indexOf(register))).toString(16)}`;
  const preset = name === "switch_space" ? COMPARED.filter((r) => r !== "rdi") : COMPARED;
  return `
      jmp start
    handler:
      mov edi, 9
      pv user_exit
    tick: ret
      align 4096
    user: mov eax, 1
      syscall
      align 4096
    page: times 4096 db 'p'
    start:
      ${before}
      ${
    preset.map((register) => `mov ${register}, ${given[register] ?? value(register)}`).join("\n")
  }
      ${COMPARED.map((r, i) => `mov [cells + ${8 * i}], ${r}`).join("\n")}
      mov [cells + 120], rsp
      pv ${name}
      ${kept.map((r) => `cmp ${r}, [cells + ${8 * COMPARED.indexOf(r)}]\n jne bad_${r}`).join("\n")}
      cmp rsp, [cells + 120]
      jne bad_rsp
      pv irq_mask
      mov edi, 0
      pv shutdown
      ${[...kept, "rsp"].map((r, i) => `bad_${r}: mov edi, ${i + 1}\n pv shutdown`).join("\n")}
      align 4096
    cells: resb 128`;
}

Deno.test("every pv-op that returns has a call here", () => {
  assertEquals([...Object.keys(CALLS), ...ENDS].toSorted(), PV_NAMES.toSorted());
});

for (const backend of BACKENDS) {
  for (const name of PV_NAMES) {
    const call = CALLS[name];
    if (!call) continue;
    Deno.test(`${backend}: ${name} preserves registers`, () => {
      const trace = runProgram(backend, program(name, call), {
        disks: [{ sectors: 4, readOnly: false, pattern: "-" }],
      });
      assertEquals(trace.end, { kind: "shutdown", code: 0 });
    });
  }
}
