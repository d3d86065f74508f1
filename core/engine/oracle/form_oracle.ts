// Every form against the CPU under this process: each encoding on many random states, natively and on the engine, must agree
// in registers, flags, memory, and in how it ended.
import type { Code } from "iced-x86";
import { nameOf } from "./encodings.ts";
import { gpa } from "../../base/address.ts";
import { hexBytes } from "../../base/hex.ts";
import { CR4, GENERAL_REGISTERS } from "../../base/registers.ts";
import { embedded } from "../embedded/engine.ts";
import { bareImage, everyException, startedVcpu } from "../testing.ts";
import type { Vcpu } from "../vcpu.ts";
import { FLAGS, States } from "./form_states.ts";
import { type Form, type FormKind, formsOf, kindOf, triedCodes } from "./forms.ts";
import { HostCpu, type HostResult, type HostState } from "./host_cpu.ts";
import { PLACE } from "./host_stub.ts";
import { undefinedFlags } from "./undefined_flags.ts";
import { Values } from "./values.ts";
import { around, CLEAN_UP, END, MM, MXCSR, VECTORS } from "./vector_program.ts";

/** Each encoding stands at its own place: the engine makes no regions of code that is written over again and again. */
const STRIDE = 1024;
const HLT = 0xf4;
/** Instructions a grant, and grants until a guest that goes round is given up. */
const PATIENCE = 100;
const RSP_32 = 8;

export interface FormOptions {
  /** Random states a form. */
  readonly states: number;
  readonly seed: number;
  /** Encodings a form: with other registers, addresses and prefixes. */
  readonly variants?: number;
  /** Only codes whose names hold this. */
  readonly only?: string | undefined;
  readonly kinds?: readonly FormKind[];
}

/** What was tried, and what came out otherwise. */
export interface FormTally {
  forms: number;
  encodings: number;
  states: number;
  faults: number;
  readonly mismatches: Map<string, string>;
  /** Codes for which no encoding was found. */
  readonly missing: string[];
}

/** Codes that this oracle tries, for the report of what is tested. */
export function formOracleCodes(): ReadonlySet<number> {
  return new Set<number>([...triedCodes(64), ...triedCodes(32)]);
}

/** A form between what loads and stores its vectors. */
interface Program {
  readonly code: Uint8Array;
  readonly at: number;
}

function guest(bits: 32 | 64): Vcpu {
  const entry = bits === 64 ? "long64" : "protected32";
  const image = bareImage({ entry, memory: 2 << 20, start: PLACE.code });
  const vcpu = startedVcpu(embedded, image, { controls: everyException() });
  vcpu.set("cr4", vcpu.get("cr4") | BigInt(CR4.OSFXSR | CR4.OSXMMEXCPT));
  return vcpu;
}

/** Does a form touch MMX registers? */
const isMmx = ({ insn }: Form) => /\bmm\d|cvtpi2/.test(insn.toString());

function programOf(form: Form): Program {
  if (form.kind === "integer") return { code: form.bytes, at: form.at };
  const { before, after } = around(isMmx(form));
  const code = Uint8Array.from([...before, ...form.bytes, ...after]);
  return { code, at: form.at - before.length };
}

class Run {
  readonly #host = new HostCpu();
  readonly #values: Values;
  readonly #guests = { 32: guest(32), 64: guest(64) };
  readonly tally: FormTally = {
    forms: 0,
    encodings: 0,
    states: 0,
    faults: 0,
    mismatches: new Map(),
    missing: [],
  };
  #place = 0;

  constructor(readonly options: FormOptions) {
    this.#values = new Values(options.seed);
  }

  [Symbol.dispose](): void {
    this.#host[Symbol.dispose]();
    this.#guests[32].dispose();
    this.#guests[64].dispose();
  }

  code(code: Code, bits: 32 | 64, states: number): void {
    const variants = this.options.variants ?? 4;
    const lead = kindOf(code) === "vector" ? 512 : 0;
    const at = () => PLACE.code + (this.#place++ * STRIDE) % PLACE.codeSize + lead;
    const forms = formsOf(code, bits, variants, at, this.#values);
    if (forms.length === 0) {
      this.tally.missing.push(`${nameOf(code)} in ${bits}-bit code`);
      return;
    }
    this.tally.forms++;
    const each = Math.ceil(states / forms.length);
    for (const form of forms) {
      this.#encoding(form, each);
      form.insn.free();
    }
  }

  #encoding(form: Form, count: number): void {
    const program = programOf(form);
    const vcpu = this.#guests[form.bits];
    // What follows a vector form is code where another one's branch would go.
    const taken = form.kind === "integer" ? { taken: form.taken } : {};
    if (taken.taken) vcpu.memory.write(gpa(taken.taken), Uint8Array.of(HLT));
    vcpu.memory.write(gpa(program.at), Uint8Array.from([...program.code, HLT]));
    const states = new States(form, this.#values);
    const mask = FLAGS & ~undefinedFlags(form.insn);
    this.tally.encodings++;
    for (let i = 0; i < count; i++) {
      const state = states.next();
      const expected = this.#host.run({ bits: form.bits, ...program, ...taken }, state);
      this.tally.states++;
      if (typeof expected.end === "object") {
        this.tally.faults++;
        if (form.kind === "vector") this.#cleanUp(state);
      }
      const actual = runGuest(vcpu, program, form, state);
      const wrong = differences(form, mask, expected, actual);
      if (wrong.length > 0) this.#note(form, state, wrong);
    }
  }

  #cleanUp(state: HostState): void {
    this.#host.run({ bits: 64, at: PLACE.code + PLACE.codeSize - STRIDE, code: CLEAN_UP }, state);
  }

  #note({ code, bits, insn, bytes }: Form, state: HostState, wrong: readonly string[]): void {
    const key = `${nameOf(code)} in ${bits}-bit code`;
    if (this.tally.mismatches.has(key)) return;
    const registers = state.registers.map((v, i) => `${GENERAL_REGISTERS[i]}=${v.toString(16)}`);
    this.tally.mismatches.set(
      key,
      `${key}: ${insn.toString()} [${hexBytes(bytes, " ")}]\n  ${wrong.join("\n  ")}\n  before: ` +
        `${registers.join(" ")} flags=${state.flags.toString(16)}`,
    );
  }
}

function runGuest(vcpu: Vcpu, program: Program, form: Form, state: HostState): HostResult {
  vcpu.memory.write(gpa(PLACE.scratch), state.memory);
  GENERAL_REGISTERS.forEach((name, i) => vcpu.set(name, state.registers[i] ?? 0n));
  vcpu.set("rflags", state.flags);
  vcpu.set("rip", BigInt(program.at));
  let stop = vcpu.run(PATIENCE);
  for (let i = 0; stop.reason === "budget" && i < PATIENCE; i++) stop = vcpu.run(PATIENCE);
  const rip = Number(vcpu.get("rip"));
  const exception = stop.reason === "exit" && stop.exit.kind === "exception"
    ? stop.exit.detail.vector
    : undefined;
  const next = rip === program.at + program.code.length + 1;
  return {
    registers: GENERAL_REGISTERS.map((name) => vcpu.get(name)),
    flags: vcpu.get("rflags"),
    memory: vcpu.memory.read(gpa(PLACE.scratch), END),
    end: exception !== undefined
      ? { vector: exception, rip }
      : next
      ? "next"
      : rip === form.taken + 1
      ? "taken"
      : { vector: -1, rip },
  };
}

const shownEnd = (end: HostResult["end"]) =>
  typeof end === "string" ? end : `exception ${end.vector} at ${end.rip.toString(16)}`;

function differences(
  form: Form,
  mask: bigint,
  expected: HostResult,
  actual: HostResult,
): string[] {
  const wrong: string[] = [];
  const differ = (what: string, ours: string, theirs: string) =>
    wrong.push(`${what} is ${ours}, not ${theirs}`);
  if (shownEnd(expected.end) !== shownEnd(actual.end)) {
    differ("end", shownEnd(actual.end), shownEnd(expected.end));
  }
  const count = form.bits === 64 ? 16 : RSP_32;
  for (let i = 0; i < count; i++) {
    const bits = form.bits;
    const [x, y] = [expected, actual].map((r) => BigInt.asUintN(bits, r.registers[i] ?? 0n));
    if (x !== y) differ(GENERAL_REGISTERS[i] ?? "", `${y?.toString(16)}`, `${x?.toString(16)}`);
  }
  if ((expected.flags ^ actual.flags) & mask) {
    differ("flags", (actual.flags & mask).toString(16), (expected.flags & mask).toString(16));
  }
  const size = form.kind === "vector" ? END : VECTORS;
  for (let at = 0; at < size; at += 8) {
    if (isSame(expected.memory, actual.memory, at)) continue;
    const [x, y] = [expected, actual].map(({ memory }) => hexBytes(memory.slice(at, at + 8)));
    if (isNear(form, expected.memory, actual.memory, at)) continue;
    differ(placeName(at, form.kind), `${y}`, `${x}`);
  }
  return wrong;
}

function isSame(a: Uint8Array, b: Uint8Array, at: number): boolean {
  for (let i = at; i < at + 8; i++) if (a[i] !== b[i]) return false;
  return true;
}

function placeName(at: number, kind: FormKind): string {
  if (kind === "integer" || at < VECTORS) return `memory ${at}`;
  return at < MM ? `xmm${(at - VECTORS) / 16}` : at < MXCSR ? `mm${(at - MM) / 8}` : "mxcsr";
}

/** RCPxx and RSQRTxx: each CPU has its own approximation; only the error is bounded (SDM vol. 2). */
const APPROXIMATION = 2 * 1.5 * 2 ** -12;
function isNear({ code }: Form, a: Uint8Array, b: Uint8Array, at: number): boolean {
  if (!/^R(cp|sqrt)[ps]s/.test(nameOf(code))) return false;
  const [x, y] = [new DataView(a.buffer, a.byteOffset), new DataView(b.buffer, b.byteOffset)];
  return [0, 4].every((lane) => {
    if (x.getUint32(at + lane) === y.getUint32(at + lane)) return true;
    const [m, n] = [x.getFloat32(at + lane, true), y.getFloat32(at + lane, true)];
    return Math.abs(m - n) <= APPROXIMATION * Math.abs(m) ||
      Math.abs(m) < 2 ** -125 && Math.abs(n) < 2 ** -125;
  });
}

/** In 32-bit code, forms that 64-bit code has too get fewer states: what differs is how they are addressed. */
const AGAIN = 5;

/** Tries every form. */
export function runForms(options: FormOptions): FormTally {
  using run = new Run(options);
  const { states, only, kinds } = options;
  const wide = new Set<number>(triedCodes(64));
  for (const bits of [64, 32] as const) {
    for (const code of triedCodes(bits)) {
      if (only !== undefined && !nameOf(code).includes(only)) continue;
      if (kinds && !kinds.includes(kindOf(code))) continue;
      const again = bits === 32 && wide.has(code);
      run.code(code, bits, again ? Math.ceil(states / AGAIN) : states);
    }
  }
  return run.tally;
}

/** What came of it, in a line. */
export function describeForms({ forms, encodings, states, faults }: FormTally): string {
  return `${forms} forms, ${encodings} encodings, ${states} states, of which ${faults} raised exceptions`;
}
