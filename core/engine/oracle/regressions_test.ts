// What the oracles once found wrong with the embedded CPU, each as the smallest trial that shows it. Needs no QEMU.
import { assertEquals } from "@std/assert";
import { fromHexBytes } from "../../base/hex.ts";
import { GENERAL_REGISTERS, type GeneralRegister } from "../../base/registers.ts";
import { EmbeddedCpu } from "./embedded.ts";
import { AT, modeOf } from "./machine.ts";
import type { End, Trial } from "./trial.ts";

interface Regression {
  readonly what: string;
  readonly mode: string;
  /** Hexadecimal bytes; they end at `AT.end`, 16 bytes into a page. */
  readonly code: string;
  readonly registers: Partial<Record<GeneralRegister, bigint>>;
  readonly end: End;
  /** Some of the registers afterwards. */
  readonly after: Readonly<Record<string, bigint>>;
  /** Bytes of watched memory afterwards. */
  readonly memory?: { readonly address: number; readonly bytes: readonly number[] };
}

const REGRESSIONS: readonly Regression[] = [
  {
    what: "LAR gives the limit's upper bits with the attributes, as processors do",
    mode: "long64/3",
    // mov eax, cs; lar ecx, eax
    code: "8cc80f02c8",
    registers: { rax: 0n, rcx: 0n },
    end: "end",
    after: { rcx: 0xaffb00n },
  },
  {
    what:
      "an instruction across a page boundary that the run loop does by itself is decoded anew, whole",
    mode: "long64/3",
    // enter 0x1110, 0 with its first byte in the page before; NOPs.
    code: "c810110090909090909090909090909090",
    registers: { rsp: BigInt(AT.userStack), rbp: 5n },
    end: "end",
    after: { rbp: BigInt(AT.userStack - 8), rsp: BigInt(AT.userStack - 8 - 0x1110) },
  },
  {
    what: "translated code that meets a straddling instruction behind others goes on with it",
    mode: "protected16/3",
    // nop, then mov bx, [eax + 0] with address and operand prefixes across the boundary.
    code: "90678b98000000009090909090909090909090",
    registers: { rsp: 0x7800n, rax: 0x4000n },
    end: "end",
    after: { rbx: 0n },
  },
  {
    what: "CR2 tells of the page fault that made a double fault, not of the first one",
    mode: "long64/0",
    // mov eax, [rax]; the stack is in a page that is not there.
    code: "8b00",
    registers: { rsp: 0x404000n, rax: 0x800000n },
    end: "handler",
    after: { cr2: 0x403ff8n },
  },
  {
    what: "ENTER of 32 bits on a 16-bit stack takes all of ESP as the frame pointer",
    mode: "compatibility16/3",
    // enterd 0, 0
    code: "66c8000000",
    registers: { rsp: 0x607c7800n, rbp: 1n },
    end: "end",
    after: { rbp: 0x607c77fcn, rsp: 0x607c77fcn },
  },
  {
    what: "BEXTR with an XOP prefix is AMD's, and not announced",
    mode: "long64/0",
    // bextr eax, ecx, 1
    code: "8fea7810c101000000",
    registers: { rsp: BigInt(AT.kernelStack), rax: 5n, rcx: 3n },
    end: "handler",
    after: { rax: 5n },
  },
  {
    what: "VEX prefixes do not exist in real mode",
    mode: "real16",
    // andn eax, eax, ecx
    code: "c4e278f2c1",
    registers: { rsp: 0x7800n, rax: 5n, rcx: 3n },
    end: "handler",
    after: { rax: 5n },
  },
  {
    what: "POPAD pops EDI first: a fault tells its address",
    mode: "protected32/3",
    code: "61",
    registers: { rsp: 0x404000n },
    end: "handler",
    after: { cr2: 0x404000n },
  },
];

for (const { what, mode, code, registers, end, after, memory } of REGRESSIONS) {
  Deno.test(`regression: ${what}`, () => {
    const trial: Trial = {
      name: what,
      mode: modeOf(mode),
      code: fromHexBytes(code),
      general: GENERAL_REGISTERS.map((name) => registers[name] ?? 0n),
      rflags: 2n,
    };
    for (const grant of [undefined, 1]) {
      const cpu = new EmbeddedCpu();
      const outcome = cpu.run(trial, grant);
      cpu.dispose();
      assertEquals(outcome.end, end);
      for (const [name, value] of Object.entries(after)) {
        assertEquals(BigInt(`0x${outcome.registers[name]}`), value, name);
      }
      if (memory) {
        const data = outcome.memory[1]?.subarray(memory.address - AT.data) ?? [];
        assertEquals([...data.slice(0, memory.bytes.length)], [...memory.bytes]);
      }
    }
  });
}
