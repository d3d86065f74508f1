// What regions call and what calls them, as WebAssembly modules made once a process: flags of an operation known only when
// it runs, upper halves of products, and the loop that goes from region to region.
import { CC } from "../lazy_flags.ts";
import * as L from "../layout.ts";
import { allFlags } from "./flags.ts";
import { FunctionBody, I32, I64, type Local, Module, type Signature } from "./wasm.ts";

/** What a region's function returns, and `dispatch`. */
export const LEAVE = {
  /** Go on at RIP. Of `dispatch`: no region is known for RIP. */
  dispatch: 0,
  /** The instruction at RIP is not for translated code. */
  slow: 1,
  /** A slow path could not complete; nothing of the instruction at RIP has happened. */
  bail: 2,
  /** No instruction may be executed any more, or not the whole block at RIP. */
  budget: 3,
} as const;

/**
 * What a region returns instead of `LEAVE.dispatch` when it leaves by a dynamic branch of 64-bit code, so many bytes from its
 * start: a negative number.
 */
export function dynamicSite(at: number): number {
  return -1 - at;
}

/** Where the dynamic branch stands in the region that left so; undefined if none did. */
export function siteOf(left: number): number | undefined {
  return left < 0 ? -1 - left : undefined;
}

/** Set in the size that `read` and `write` are given: the access is through the stack segment. */
export const THROUGH_STACK = 0x40;

/** Functions that regions may import. */
export const IMPORTS = {
  /** (linear, size, intent): value. Intent 0: to read; 1: to write it afterwards. */
  read: { parameters: [I64, I32, I32], results: [I64] },
  /** (linear, value, size) */
  write: { parameters: [I64, I64, I32], results: [] },
  /** (segment, offset, size, write): checks an access; bails where the segment forbids it. */
  check: { parameters: [I32, I64, I32, I32], results: [] },
  /** (vector): raises an exception, with error code 0 if it has one. Bails. */
  raise: { parameters: [I32], results: [] },
  /** (upper, lower, divisor, signed): quotient and remainder at DIVISION, or #DE. */
  divide: { parameters: [I64, I64, I64, I32], results: [] },
  /** (mnemonic, immediate): a SIMD instruction on SIMD_A and SIMD_B; its result to SIMD_A, flags to SIMD_FLAGS, or #XM. */
  simd: { parameters: [I32, I32], results: [] },
  /** (code, i): an x87 instruction on X87_OPERAND; 1: that is to be stored, and `SETTLE` to follow. */
  x87: { parameters: [I32, I32], results: [I32] },
  /** (op, dst, src, aux): the six status flags. */
  flags: { parameters: [I32, I64, I64, I32], results: [I64] },
  /** Upper halves of 64 x 64-bit products. */
  multiplyHighUnsigned: { parameters: [I64, I64], results: [I64] },
  multiplyHighSigned: { parameters: [I64, I64], results: [I64] },
} as const satisfies Record<string, Signature>;
export type ImportName = keyof typeof IMPORTS;

/** A region's own type. */
export const REGION_SIGNATURE: Signature = { parameters: [], results: [I32] };

const p = (index: number) => index as Local;

function flagsFunction(): FunctionBody {
  const f = new FunctionBody(IMPORTS.flags.parameters);
  const kinds = Object.values(CC);
  const codes = Array.from({ length: kinds.length * 4 }, (_, op) => op);
  // One case an operation, innermost first.
  const labels = codes.map(() => f.open("block")).reverse();
  f.get(p(0));
  f.branchTable(labels, labels.at(-1) ?? labels[0]!);
  for (const op of codes) {
    f.end();
    allFlags({ f, op, dst: p(1), src: p(2), aux: p(3) });
    f.op("return");
  }
  f.op("unreachable");
  return f;
}

function multiplyHighFunction(signed: boolean): FunctionBody {
  const f = new FunctionBody([I64, I64]);
  const [a, b] = [p(0), p(1)];
  const [low, middle, cross] = [f.local(I64), f.local(I64), f.local(I64)];
  const half = (local: Local, upper: boolean) => {
    f.get(local);
    f.i64(upper ? 32 : 0xffffffff);
    f.op(upper ? "i64_shr_u" : "i64_and");
  };
  const product = (x: boolean, y: boolean) => {
    half(a, x);
    half(b, y);
    f.op("i64_mul");
  };
  // Schoolbook with 32-bit digits: no partial sum overflows 64 bits.
  product(false, false);
  f.set(low);
  product(true, false);
  half(low, true);
  f.op("i64_add");
  f.set(middle);
  product(false, true);
  half(middle, false);
  f.op("i64_add");
  f.set(cross);
  product(true, true);
  half(middle, true);
  half(cross, true);
  f.op("i64_add", "i64_add");
  if (!signed) return f;
  for (const [x, y] of [[a, b], [b, a]] as const) {
    // A negative x counts as x + 2^64 above: take y off the upper half.
    f.get(y);
    f.i64(0);
    f.get(x);
    f.i64(0);
    f.op("i64_lt_s", "select", "i64_sub");
  }
  return f;
}

function dispatchFunction(regionType: number): FunctionBody {
  const f = new FunctionBody([]);
  const [entry, slot, result] = [f.local(I32), f.local(I32), f.local(I32)];
  const unknown = f.open("block");
  const again = f.open("loop");
  f.i32(0);
  f.memory("i64_load", L.RIP);
  f.op("i32_wrap_i64");
  f.i32(L.JUMP_CACHE_ENTRIES - 1);
  f.op("i32_and");
  f.i32(4);
  f.op("i32_shl");
  f.tee(entry);
  f.memory("i64_load", L.JUMP_CACHE);
  f.i32(0);
  f.memory("i64_load", L.RIP);
  f.op("i64_ne");
  f.branch("br_if", unknown);
  f.get(entry);
  f.memory("i32_load", L.JUMP_CACHE + 8);
  f.tee(slot);
  f.op("call_indirect");
  f.code.u32(regionType);
  f.code.u32(0);
  f.tee(result);
  f.i32(0);
  f.op("i32_le_s");
  f.branch("br_if", again);
  f.get(result);
  f.op("return");
  f.end();
  f.end();
  f.i32(0);
  f.get(slot);
  f.memory("i32_store", L.LAST_SLOT);
  f.get(result);
  return f;
}

/** Functions of their arguments alone: the same for every CPU. */
export interface Arithmetic {
  readonly flags: (op: number, dst: bigint, src: bigint, aux: number) => bigint;
  readonly multiplyHighUnsigned: (a: bigint, b: bigint) => bigint;
  readonly multiplyHighSigned: (a: bigint, b: bigint) => bigint;
}

let instantiated: Arithmetic | undefined;

/** Made when the first region wants it: many small guests never do, and it takes longer than all their regions. */
export function arithmetic(): Arithmetic {
  return instantiated ??= instantiateArithmetic();
}

function instantiateArithmetic(): Arithmetic {
  const module = new Module([]);
  module.function("flags", IMPORTS.flags, flagsFunction());
  module.function(
    "multiplyHighUnsigned",
    IMPORTS.multiplyHighUnsigned,
    multiplyHighFunction(false),
  );
  module.function("multiplyHighSigned", IMPORTS.multiplyHighSigned, multiplyHighFunction(true));
  // The exports are those named here, with these types.
  return new WebAssembly.Instance(new WebAssembly.Module(module.finish()))
    .exports as unknown as Arithmetic;
}

let dispatcher: WebAssembly.Module | undefined;

/** What runs regions, over one CPU's memory and table. */
export interface Runtime {
  /**
   * Runs regions from RIP until one leaves with something else than `dispatch`, or RIP is not in the jump cache; then
   * `LAST_SLOT` tells which was the last.
   */
  readonly dispatch: () => number;
}

/** Instantiates the runtime. */
export function instantiateRuntime(memory: WebAssembly.Memory, table: WebAssembly.Table): Runtime {
  dispatcher ??= compileDispatcher();
  const instance = new WebAssembly.Instance(dispatcher, { e: { memory, table } });
  // The exports are those that `compileDispatcher` names, with these types.
  return instance.exports as unknown as Runtime;
}

function compileDispatcher(): WebAssembly.Module {
  const module = new Module(["memory", "table"]);
  module.function("dispatch", REGION_SIGNATURE, dispatchFunction(module.type(REGION_SIGNATURE)));
  return new WebAssembly.Module(module.finish());
}
