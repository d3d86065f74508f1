// x87 instructions against the CPU under this process: every form on random states, with every rounding, precision and
// combination of masks. An unmasked exception shows as it stands in the status word. `X87_STATES` sets how many states a form
// gets.
import { assert } from "@std/assert";
import { Code } from "iced-x86";
import { gpa } from "../../base/address.ts";
import { hexBytes } from "../../base/hex.ts";
import { GENERAL_REGISTERS } from "../../base/registers.ts";
import { STATUS_FLAGS } from "../../cpu/lazy_flags.ts";
import { embedded } from "../embedded/engine.ts";
import { bareImage, everyException, startedVcpu } from "../testing.ts";
import type { Vcpu } from "../vcpu.ts";
import { HOST_ORACLE_UNAVAILABLE, HostCpu } from "./host_cpu.ts";
import { PLACE } from "./host_stub.ts";
import { tell } from "./options.ts";
import { Random } from "./random.ts";
import { differences } from "./x87_compare.ts";
import { waitingForms, type X87Form, x87Forms } from "./x87_forms.ts";
import { image, IMAGE_BYTES, operandBytes } from "./x87_states.ts";

const SEED = Number(Deno.env.get("ORACLE_SEED") ?? 1);
const STATES = Number(Deno.env.get("X87_STATES") ?? 200);
const ONLY = Deno.env.get("X87_ONLY");
const SHOWN = Number(Deno.env.get("X87_SHOWN") ?? 1);
const CODE = 0x100000;
/** In scratch memory: the state before, the operand in memory, the state afterwards. */
const BEFORE = 0, OPERAND = 128, AFTER = 256, MEMORY = 384;
const RAX = 0, RSI = 6;
const HLT = 0xf4;

const at = (offset: number, reg: number) => {
  const address = PLACE.scratch + offset;
  return [reg << 3 | 4, 0x25, address & 255, address >> 8 & 255, address >> 16 & 255, 0];
};
const FRSTOR = [0xdd, ...at(BEFORE, 4)];
const FNSAVE = [0xdd, ...at(AFTER, 6)];

/** What one run leaves. */
interface Outcome {
  readonly ax: bigint;
  readonly flags: bigint;
  readonly memory: Uint8Array;
}

function runGuest(
  vcpu: Vcpu,
  registers: readonly bigint[],
  flags: bigint,
  memory: Uint8Array,
  length: number,
): Outcome | string {
  vcpu.memory.write(gpa(PLACE.scratch), memory);
  GENERAL_REGISTERS.forEach((name, i) => vcpu.set(name, registers[i] ?? 0n));
  vcpu.set("rflags", flags);
  vcpu.set("rip", BigInt(CODE));
  const stop = vcpu.run(100);
  if (vcpu.get("rip") !== BigInt(CODE + length + 1)) {
    const exit = stop.reason === "exit" ? JSON.stringify(stop.exit.detail) : stop.reason;
    return `stopped at +${vcpu.get("rip") - BigInt(CODE)}: ${exit}`;
  }
  return {
    ax: vcpu.get("rax"),
    flags: vcpu.get("rflags"),
    memory: vcpu.memory.read(gpa(PLACE.scratch), MEMORY),
  };
}

/** Puts a form where guests run it, between instructions that load and save the FPU's state. */
function program(vcpu: Vcpu, { bytes }: X87Form): Uint8Array {
  const code = Uint8Array.from([...FRSTOR, ...bytes, ...FNSAVE]);
  vcpu.memory.write(gpa(CODE), Uint8Array.from([...code, HLT]));
  return code;
}

function trial(
  host: HostCpu,
  vcpu: Vcpu,
  form: X87Form,
  code: Uint8Array,
  random: Random,
): string | undefined {
  const memory = new Uint8Array(MEMORY);
  memory.set(image(random).bytes, BEFORE);
  memory.set(operandBytes(random, form.code), OPERAND);
  const registers = GENERAL_REGISTERS.map(() => random.u64());
  registers[RSI] = BigInt(PLACE.scratch + OPERAND);
  const flags = 0x202n | random.u64() & STATUS_FLAGS;
  const actual = runGuest(vcpu, registers, flags, memory, code.length);
  const part = (bytes: Uint8Array, from: number) => bytes.slice(from, from + IMAGE_BYTES);
  const compare = (): string[] => {
    const expected = host.run({ bits: 64, at: PLACE.code, code }, { registers, flags, memory });
    return typeof actual === "string" ? [actual] : [
      ...actual.ax === expected.registers[RAX] ? [] : ["RAX differs"],
      ...((actual.flags ^ expected.flags) & STATUS_FLAGS) === 0n
        ? []
        : [`flags ${actual.flags.toString(16)}, not ${expected.flags.toString(16)}`],
      ...differences(
        form,
        part(memory, BEFORE),
        part(expected.memory, AFTER),
        part(actual.memory, AFTER),
      ),
      ...hexBytes(part(actual.memory, OPERAND)) === hexBytes(part(expected.memory, OPERAND))
        ? []
        : [
          `stored  ${hexBytes(part(actual.memory, OPERAND))}\n    not     ${
            hexBytes(part(expected.memory, OPERAND))
          }`,
        ],
    ];
  };
  // A switch to another process may lose the pointers, unless an exception is pending (AMD's XSAVE): it is not met twice.
  const wrong = compare().length === 0 ? [] : compare();
  if (wrong.length === 0) return undefined;
  const before = part(memory, BEFORE);
  const registersBefore = [0, 1, 2, 3, 4, 5, 6, 7].map((i) =>
    `st${i} ${hexBytes(before.slice(28 + 10 * i, 38 + 10 * i).reverse())}`
  );
  return `${form.name}\n    ${wrong.join("\n    ")}\n    before: ${
    hexBytes(before.slice(0, 12), " ")
  }\n    ${registersBefore.join("\n    ")}\n    operand ${
    hexBytes(memory.slice(OPERAND, OPERAND + 10).reverse())
  }`;
}

Deno.test({
  name: `x87 instructions agree with the host CPU, seed ${SEED}` +
    (HOST_ORACLE_UNAVAILABLE ? ` (skipped: ${HOST_ORACLE_UNAVAILABLE})` : ""),
  ignore: HOST_ORACLE_UNAVAILABLE !== undefined,
  async fn(test) {
    using host = new HostCpu();
    const random = new Random(SEED);
    const vcpu = startedVcpu(
      embedded,
      bareImage({ entry: "long64", memory: 2 << 20, start: CODE }),
      { controls: everyException() },
    );
    const tried = [...x87Forms(), ...waitingForms()].filter(({ name }) =>
      !ONLY || new RegExp(ONLY).test(name)
    );
    const found = new Map<string, string[]>();
    let tally = 0;
    for (const form of tried) {
      const states = /sti/.test(form.name) ? Math.ceil(STATES / 8) : STATES;
      const code = program(vcpu, form);
      for (let i = 0; i < states; i++) {
        tally++;
        const wrong = trial(host, vcpu, form, code, random);
        const key = Code[form.code] ?? "";
        if (wrong) found.set(key, [...(found.get(key) ?? []), wrong]);
      }
    }
    vcpu.dispose();
    const forms = new Set<number>(tried.map(({ code }) => code)).size;
    await tell(
      test,
      `x87: ${forms} forms, ${tried.length} encodings, ${tally} states, seed ${SEED}`,
    );
    const report = [...found].map(([key, list]) =>
      `${key}: ${list.length}\n  ${list.slice(0, SHOWN).join("\n  ")}`
    );
    assert(
      report.length === 0,
      `${found.size} forms disagree, seed ${SEED}:\n${report.join("\n")}`,
    );
  },
});
