import { assert, assertEquals } from "@std/assert";
import { Mnemonic } from "iced-x86";
import fc from "fast-check";
import { GENERAL_REGISTERS, RFLAGS } from "../../base/registers.ts";
import { GuestFault } from "../fault.ts";
import {
  decode,
  gate,
  longMode,
  protectedMode,
  realMode,
  SELECTORS,
  TABLES,
  type TestCpu,
} from "../testing.ts";
import { execute, isSlow } from "./execute.ts";

const MODES: Readonly<Record<string, () => TestCpu>> = {
  "real mode": realMode,
  "protected mode": protectedMode,
  "protected mode, user": () => protectedMode({ level: 3 }),
  "virtual-8086 mode": () => {
    const cpu = protectedMode().set({ rflags: RFLAGS.VM | RFLAGS.IOPL | 2 });
    for (const name of ["es", "cs", "ss", "ds", "fs", "gs"] as const) {
      cpu.state.setSegment(name, { selector: 0, base: 0n, limit: 0xffff, attributes: 0xf3 });
    }
    return cpu;
  },
  "long mode": longMode,
  "long mode, user": () => longMode({ level: 3 }),
  "compatibility mode": () => {
    const cpu = longMode();
    cpu.state.setSegment("cs", { ...cpu.state.segment("cs"), attributes: 0xc09b });
    return cpu;
  },
};

/** Opcodes whose meaning is here: one byte, and two after 0f. */
const ONE = [
  ...[0x06, 0x07, 0x0e, 0x16, 0x17, 0x1e, 0x1f, 0x27, 0x2f, 0x37, 0x3f, 0x60, 0x61, 0x62, 0x63],
  ...[0x6c, 0x6d, 0x6e, 0x6f, 0x8c, 0x8e, 0x9a, 0x9c, 0x9d, 0xc4, 0xc5, 0xc8, 0xca, 0xcb, 0xcc],
  ...[0xcd, 0xce, 0xcf, 0xd4, 0xd5, 0xd6, 0xd7, 0xe4, 0xe5, 0xe6, 0xe7, 0xea, 0xec, 0xed, 0xee],
  ...[0xef, 0xf1, 0xf4, 0xfa, 0xfb, 0xff],
];
const TWO = [
  ...[0x00, 0x01, 0x02, 0x03, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0b, 0x20, 0x21, 0x22, 0x23, 0x30],
  ...[0x31, 0x32, 0x33, 0x34, 0x35, 0xa0, 0xa1, 0xa2, 0xa8, 0xa9, 0xae, 0xb2, 0xb4, 0xb5, 0xc7],
];

const prefixes = fc.subarray([0x66, 0x67, 0xf2, 0xf3, 0x2e, 0x64], { maxLength: 2 });
const rex = fc.constantFrom([], [0x48], [0x4f]);
const opcode = fc.oneof(
  fc.constantFrom(...ONE).map((byte) => [byte]),
  fc.constantFrom(...TWO).map((byte) => [0x0f, byte]),
);
const selectors = Object.values(SELECTORS);
/** Values that are selectors, pointers into memory, MSR numbers or nonsense. */
const value = fc.oneof(
  fc.constantFrom(...selectors).map(BigInt),
  fc.integer({ min: 0, max: 0xf_ffff }).map(BigInt),
  fc.constantFrom(0xc000_0080n, 0xc000_0101n, 0x10n, 0x174n, 0x277n, 0x8000_0000n),
  fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn }),
);
const input = fc.record({
  bytes: fc.tuple(prefixes, rex, opcode, fc.uint8Array({ minLength: 11, maxLength: 11 }))
    .map(([a, b, c, d]) => [...a, ...b, ...c, ...d]),
  registers: fc.array(value, { minLength: 16, maxLength: 16 }),
  stack: fc.array(value, { minLength: 5, maxLength: 5 }),
  flags: fc.integer({ min: 0, max: 0x7fff }),
});

/** A CPU in a state made of these values; the stack is one, three times in four. */
function prepare(make: () => TestCpu, { registers, stack, flags }: {
  registers: bigint[];
  stack: bigint[];
  flags: number;
}): TestCpu {
  const cpu = make();
  const frame = cpu.state.bitness / 8;
  for (const [i, item] of stack.entries()) {
    cpu.physical.write(
      0x6f00 + i * frame,
      frame === 2 ? 2 : frame === 4 ? 4 : 8,
      BigInt.asUintN(8 * frame, item),
    );
  }
  const vectors = cpu.state.bitness === 64 ? 16 : 8;
  for (const vector of [1, 3, 4, 0x80]) {
    cpu.poke64(TABLES.idt + vector * vectors, gate(SELECTORS.code0, 0x2000, 0xee));
  }
  for (const [i, name] of GENERAL_REGISTERS.entries()) cpu.state.set(name, registers[i] ?? 0n);
  if (flags & 3) cpu.state.set("rsp", 0x6f00n);
  cpu.state.rflags |= BigInt(flags & 0x0fd5);
  return cpu;
}

for (const [name, make] of Object.entries(MODES)) {
  Deno.test(`execute() goes on or faults cleanly when given anything in ${name}`, () => {
    fc.assert(
      fc.property(input, (given) => {
        const cpu = prepare(make, given);
        const instruction = decode(cpu.state.bitness, cpu.state.rip, given.bytes);
        if (!isSlow(instruction)) return;
        const before = cpu.state.snapshot();
        const msrs = new Map(cpu.state.msrs);
        try {
          const effect = execute(cpu, instruction);
          assertEquals(effect, instruction.mnemonic === Mnemonic.Hlt ? "halt" : "next");
        } catch (thrown) {
          assert(thrown instanceof GuestFault, `${instruction.toString()}: ${thrown}`);
          assertEquals(cpu.state.snapshot(), before, instruction.toString());
          assertEquals(cpu.state.msrs, msrs);
        }
        assert(cpu.state.cpl <= 3 && (cpu.state.rflags & 2n) !== 0n);
      }),
      { seed: 20261122, numRuns: 1500 },
    );
  });
}

Deno.test("execute() refuses instructions that are not its own", () => {
  const cpu = longMode();
  let message = "";
  try {
    cpu.run(0x90);
  } catch (thrown) {
    message = String(thrown);
  }
  assertEquals(message, "Error: Not an instruction of the slow path: nop");
});
