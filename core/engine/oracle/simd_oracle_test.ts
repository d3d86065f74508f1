// SIMD instructions against the CPU under this process: every form on random states, from NaNs and denormals to extreme
// integers, under every rounding mode with exceptions masked. `SIMD_STATES` sets how many states an encoding
// gets, `SIMD_VARIANTS` how many encodings a form.
import { assert, assertEquals } from "@std/assert";
import { Code } from "iced-x86";
import { gpa } from "../../base/address.ts";
import { CR4, GENERAL_REGISTERS } from "../../base/registers.ts";
import { hexBytes } from "../../base/hex.ts";
import { STATUS_FLAGS } from "../../cpu/lazy_flags.ts";
import { embedded } from "../embedded/engine.ts";
import type { Vcpu } from "../vcpu.ts";
import { HOST_ORACLE_UNAVAILABLE, HostCpu, SCRATCH } from "./host_cpu.ts";
import { type Form, forms, untried } from "./simd_forms.ts";
import { bareImage, everyException, startedVcpu } from "../testing.ts";

const SEED = Number(Deno.env.get("ORACLE_SEED") ?? 1);
const STATES = Number(Deno.env.get("SIMD_STATES") ?? 6);
const VARIANTS = Number(Deno.env.get("SIMD_VARIANTS") ?? 2);
const ONLY = Deno.env.get("SIMD_ONLY");
const CODE = 0x100000, CODE_STRIDE = 1024, CODE_SIZE = 0x80000;
/** Scratch memory: operands, then where registers are loaded from, MXCSR last. */
const OPERANDS = 0, XMM = 512, MM = 768, MXCSR = 832, MEMORY = 848;
const DEFAULT_MXCSR = 0x1f80;
const RSP = 4, RSI = 6, RDI = 7;
const HLT = 0xf4;

class Random {
  constructor(private state: number) {}
  below(n: number): number {
    this.state = (Math.imul(this.state, 1664525) + 1013904223) >>> 0;
    return (this.state >>> 8) % n;
  }
  pick<T>(list: readonly T[]): T {
    const found = list[this.below(list.length)];
    if (found === undefined) throw new Error("Nothing to pick from");
    return found;
  }
  bits(n: number): bigint {
    let value = 0n;
    for (let i = 0; i < n; i += 16) value = value << 16n | BigInt(this.below(65536));
    return BigInt.asUintN(n, value);
  }
  /** 16 bytes of elements of one kind. */
  vector(): bigint {
    const bits = this.pick([8, 16, 32, 32, 32, 64, 64]);
    let value = 0n;
    for (let at = 0; at < 128; at += bits) value |= this.element(bits) << BigInt(at);
    return value;
  }
  /** Normal numbers whose sums and products mostly are too: what runs straight on WebAssembly's arithmetic. */
  tameVector(): bigint {
    const [bits, fraction, middle] = this.pick([[32, 23n, 127], [64, 52n, 1023]] as const);
    const spread = this.pick([2, 30, middle]);
    let value = 0n;
    for (let at = 0; at < 128; at += bits) {
      const exponent = BigInt(middle + this.below(spread) - (spread >> 1));
      const payload = this.pick([0n, this.bits(Number(fraction)), this.bits(3) << (fraction - 3n)]);
      const element = this.below(12) ? exponent << fraction | payload : 0n;
      value |= (element | BigInt(this.below(2)) << BigInt(bits - 1)) << BigInt(at);
    }
    return value;
  }
  element(bits: number): bigint {
    const kind = this.below(4);
    if (bits < 32 || kind === 0) {
      return this.below(2) ? this.bits(bits) : BigInt.asUintN(
        bits,
        this.pick([0n, 1n, -1n, 2n, 1n << BigInt(bits - 1), (1n << BigInt(bits - 1)) - 1n]),
      );
    }
    const [fraction, special] = bits === 32 ? [23n, 255n] : [52n, 2047n];
    const sign = BigInt(this.below(2)) << BigInt(bits - 1);
    const middle = special >> 1n;
    const exponent = this.pick([
      0n,
      0n,
      1n,
      special,
      special - 1n,
      middle,
      middle + BigInt(this.below(70)),
      middle - BigInt(this.below(30)),
      this.bits(11) & special,
    ]);
    const payload = this.pick([
      0n,
      0n,
      1n,
      (1n << fraction) - 1n,
      1n << (fraction - 1n),
      this.bits(Number(fraction)),
      this.bits(Number(fraction)),
      this.bits(8) << (fraction - 8n),
    ]);
    return sign | exponent << fraction | payload;
  }
}

const absolute = (offset: number) => {
  const address = SCRATCH + offset;
  return [0x04, 0x25, address & 255, address >> 8 & 255, address >> 16 & 255, address >>> 24];
};
const withRegister = (
  number: number,
  [modrm = 0, ...rest]: number[],
) => [modrm | (number & 7) << 3, ...rest];
const registers = (count: number, emit: (n: number) => number[]) =>
  Array.from({ length: count }, (_, n) => emit(n)).flat();
const movdqu = (opcode: number) => (n: number) => [
  0xf3,
  ...(n > 7 ? [0x44] : []),
  0x0f,
  opcode,
  ...withRegister(n, absolute(XMM + 16 * n)),
];
const movqMm =
  (opcode: number) => (n: number) => [0x0f, opcode, ...withRegister(n, absolute(MM + 8 * n))];
const LOAD = [
  ...registers(16, movdqu(0x6f)),
  ...[0x0f, 0xae, ...withRegister(2, absolute(MXCSR))],
];
const STORE = [
  ...registers(16, movdqu(0x7f)),
  ...[0x0f, 0xae, ...withRegister(3, absolute(MXCSR))],
  // This process goes on computing as it did.
  ...[0x0f, 0xae, ...withRegister(2, absolute(MXCSR + 4))],
];
const LOAD_MM = registers(8, movqMm(0x6f));
const STORE_MM = [...registers(8, movqMm(0x7f)), 0x0f, 0x77];

/** The form between instructions that load and store all that it may touch. Only forms of MMX touch MMX registers. */
function program({ bytes, name }: Form): Uint8Array {
  const mmx = /\bmm\d|cvtpi2/.test(name);
  return Uint8Array.from([
    ...LOAD,
    ...(mmx ? LOAD_MM : []),
    ...bytes,
    ...STORE,
    ...(mmx ? STORE_MM : []),
  ]);
}

function guest(): Vcpu {
  const image = bareImage({ entry: "long64", memory: 2 << 20, start: CODE });
  const vcpu = startedVcpu(embedded, image, { controls: everyException() });
  vcpu.set("cr4", vcpu.get("cr4") | BigInt(CR4.OSFXSR | CR4.OSXMMEXCPT));
  return vcpu;
}

interface State {
  readonly registers: bigint[];
  readonly flags: bigint;
  readonly memory: Uint8Array;
}

function randomState(random: Random): State {
  const memory = new Uint8Array(MEMORY);
  const view = new DataView(memory.buffer);
  // Few different vectors, so that comparisons find equals.
  const tame = random.below(3) === 0;
  const vector = () => tame ? random.tameVector() : random.vector();
  const vectors = [vector(), vector(), vector(), vector()];
  for (let at = 0; at < MXCSR; at += 16) {
    const value = random.below(3) ? random.pick(vectors) : vector();
    view.setBigUint64(at, BigInt.asUintN(64, value), true);
    view.setBigUint64(at + 8, value >> 64n, true);
  }
  const PRECISION = 0x20;
  const special = tame
    ? random.pick([0, PRECISION, PRECISION])
    : random.below(2)
    ? (random.below(4) << 13) | random.pick([0, 64, 0x8000, 0x8040])
    : 0;
  const sticky = random.below(2) ? random.below(64) : 0;
  view.setUint32(MXCSR, DEFAULT_MXCSR | special | sticky, true);
  view.setUint32(MXCSR + 4, DEFAULT_MXCSR, true);
  const general = GENERAL_REGISTERS.map(() =>
    random.below(3) ? random.element(64) : BigInt(random.below(20))
  );
  general[RSI] = BigInt(SCRATCH + OPERANDS + 256);
  general[RDI] = BigInt(SCRATCH + OPERANDS + 128);
  return { registers: general, flags: 0x202n | random.bits(64) & STATUS_FLAGS, memory };
}

function runGuest(vcpu: Vcpu, at: number, state: State, length: number): State | string {
  vcpu.memory.write(gpa(SCRATCH), state.memory);
  GENERAL_REGISTERS.forEach((name, i) => vcpu.set(name, state.registers[i] ?? 0n));
  vcpu.set("rflags", state.flags);
  vcpu.set("rip", BigInt(at));
  for (;;) {
    const stop = vcpu.run(100);
    if (stop.reason === "budget") continue;
    if (vcpu.get("rip") !== BigInt(at + length + 1)) {
      return `stopped: ${stop.reason} ${
        stop.reason === "exit"
          ? stop.exit.kind +
            JSON.stringify(stop.exit.detail, (_, v) => typeof v === "bigint" ? `${v}` : v)
          : ""
      } at +${vcpu.get("rip") - BigInt(at)}`;
    }
    break;
  }
  return {
    registers: GENERAL_REGISTERS.map((name) => vcpu.get(name)),
    flags: vcpu.get("rflags"),
    memory: vcpu.memory.read(gpa(SCRATCH), MEMORY),
  };
}

/** RCPxx and RSQRTxx: each CPU has its own approximation; only the error is bounded (SDM vol. 2). */
const isApproximate = (code: Code) => /^R(cp|sqrt)[ps]s/.test(Code[code] ?? "");
const APPROXIMATION = 2 * 1.5 * 2 ** -12;

function agree(form: Form, expected: State, actual: State): string[] {
  const wrong: string[] = [];
  expected.registers.forEach((value, i) => {
    if (i !== RSP && value !== actual.registers[i]) {
      wrong.push(
        `${GENERAL_REGISTERS[i]} is ${actual.registers[i]?.toString(16)}, not ${
          value.toString(16)
        }`,
      );
    }
  });
  if ((expected.flags ^ actual.flags) & STATUS_FLAGS) {
    wrong.push(`flags are ${actual.flags.toString(16)}, not ${expected.flags.toString(16)}`);
  }
  for (let at = 0; at < MEMORY; at += 16) {
    const [x, y] = [expected, actual].map((s) => hexBytes(s.memory.slice(at, at + 16).reverse()));
    if (x === y || isApproximate(form.code) && isNear(expected.memory, actual.memory, at)) continue;
    const what = at < XMM
      ? `memory ${at}`
      : at < MM
      ? `xmm${(at - XMM) / 16}`
      : at < MXCSR
      ? `mm${(at - MM) / 8}+`
      : "mxcsr";
    wrong.push(`${what} is ${y}, not ${x}`);
  }
  return wrong;
}

function isNear(a: Uint8Array, b: Uint8Array, at: number): boolean {
  const [x, y] = [new DataView(a.buffer, a.byteOffset), new DataView(b.buffer, b.byteOffset)];
  return [0, 4, 8, 12].every((lane) => {
    const [m, n] = [x.getFloat32(at + lane, true), y.getFloat32(at + lane, true)];
    if (x.getUint32(at + lane) === y.getUint32(at + lane)) return true;
    return Math.abs(m - n) <= APPROXIMATION * Math.abs(m) ||
      Math.abs(m) < 2 ** -125 && Math.abs(n) < 2 ** -125;
  });
}

Deno.test({
  name: `SIMD instructions agree with the host CPU, seed ${SEED}` +
    (HOST_ORACLE_UNAVAILABLE ? ` (skipped: ${HOST_ORACLE_UNAVAILABLE})` : ""),
  ignore: HOST_ORACLE_UNAVAILABLE !== undefined,
  fn() {
    using host = new HostCpu();
    const random = new Random(SEED);
    const vcpu = guest();
    const mismatches = new Map<string, string>();
    const counts = new Map<string, number>();
    const tried = forms(VARIANTS, (n) => random.below(n)).filter(({ name }) =>
      !ONLY || name.includes(ONLY)
    );
    tried.forEach((form, number) => {
      const at = CODE + number * CODE_STRIDE % CODE_SIZE;
      const code = program(form);
      vcpu.memory.write(gpa(at), Uint8Array.from([...code, HLT]));
      for (let i = 0; i < STATES; i++) {
        const state = randomState(random);
        const expected = host.run(code, state.registers, state.flags, state.memory);
        const actual = runGuest(vcpu, at, state, code.length);
        const wrong = typeof actual === "string" ? [actual] : agree(form, expected, actual);
        if (wrong.length === 0) continue;
        const key = Code[form.code] ?? "";
        counts.set(key, (counts.get(key) ?? 0) + 1);
        const view = new DataView(state.memory.buffer);
        if (!mismatches.has(key)) {
          mismatches.set(
            key,
            `${form.name} [${hexBytes(form.bytes, " ")}] mxcsr ${
              view.getUint32(MXCSR, true).toString(16)
            }\n    ` +
              wrong.join("\n    ") + `\n    ` +
              [0, 1, 2, 3, 8, 9, 10, 11].map((n) =>
                `xmm${n} ${hexBytes(state.memory.slice(XMM + 16 * n, XMM + 16 * n + 16).reverse())}`
              ).join("\n    ") +
              `\n    m ${hexBytes(state.memory.slice(272, 288).reverse())}`,
          );
        }
      }
    });
    vcpu.dispose();
    const codes = new Set(tried.map(({ code }) => code)).size;
    const report = [...mismatches].map(([key, text]) => `${key} (${counts.get(key)}): ${text}`);
    assert(
      report.length === 0,
      `${report.length} of ${codes} forms disagree, seed ${SEED}:\n${report.join("\n")}`,
    );
    if (ONLY === undefined) assertEquals(untried(tried), [], "Forms that were not tried");
  },
});
