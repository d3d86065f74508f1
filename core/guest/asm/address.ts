// From the sum in the brackets to base, index, scale and displacement, with the choices NASM makes.
import { Register } from "iced-x86";
import { evaluate, type Scope } from "./evaluate.ts";
import type { MemoryAddress } from "./operand.ts";
import { needsLongMode, registerClass, registerName, registerSize } from "./isa/registers.ts";
import type { Token } from "./token.ts";
import { plain, type Value, ZERO } from "./value.ts";

/** An address as the encoder takes it. */
export interface EncodedAddress {
  readonly base: number;
  readonly index: number;
  readonly scale: number;
  /** Of a RIP-relative operand: the target. */
  readonly displacement: Value;
  /** Bytes of displacement as iced counts them: 0, 1, or the full 2, 4 or 8 of the address size. */
  readonly displacementSize: number;
  /** In bits. */
  readonly addressSize: 16 | 32 | 64;
  readonly segment: number;
  /** No register in it, and not relative to RIP. */
  readonly direct: boolean;
  /** A full 64-bit address was asked for (`[qword x]`): only the accumulator's moves have one. */
  readonly full64: boolean;
}

export interface AddressContext {
  readonly bits: 16 | 32 | 64;
  readonly defaultRelative: boolean;
  /** Take no short displacement even where it fits (see `layout.ts`). */
  readonly noShort: boolean;
  /** Address size that a prefix (`a16`, `a32`, `a64`) asks for. */
  readonly addressPrefix: 16 | 32 | 64 | undefined;
}

interface Registers {
  base: number;
  index: number;
  scale: number;
}

/** Works an address out; fails with a diagnostic for one that the processor does not have. */
export function resolveAddress(
  address: MemoryAddress,
  scope: Scope,
  context: AddressContext,
  at: readonly [Token, Token],
): EncodedAddress {
  const displacement = address.displacement ? evaluate(address.displacement, scope) : ZERO;
  const sums = sumRegisters(address, scope);
  const segment = address.segment;
  if (sums.size === 0) return resolveDirect(address, displacement, scope, context, at);

  const [first] = sums.keys();
  const bytes = addressBytes([...sums.keys()], scope, at);
  const addressSize = bytes === 2 ? 16 : bytes === 4 ? 32 : 64;
  const is64 = context.bits === 64;
  if ((addressSize === 64) !== is64 && (addressSize === 64 || addressSize === 16 && is64)) {
    scope.reporter.fail(
      `There is no ${addressSize}-bit addressing in ${context.bits}-bit code`,
      at,
      `Address through a ${is64 ? "64-bit" : "32-bit"} register instead of ${
        registerName(first ?? 0)
      }`,
    );
  }
  const registers = bytes === 2 ? pair16(sums, scope, at) : baseAndIndex(sums, address, scope, at);
  for (const r of [registers.base, registers.index]) {
    if (r !== Register.None && !is64 && needsLongMode(r)) {
      scope.reporter.fail(`Register ${registerName(r)} exists in 64-bit code only`, at);
    }
  }
  const displacementSize = chooseDisplacement(address, displacement, registers, bytes, context);
  return {
    ...registers,
    displacement,
    displacementSize,
    addressSize,
    segment,
    direct: false,
    full64: false,
  };
}

/** An address without registers. */
function resolveDirect(
  address: MemoryAddress,
  displacement: Value,
  scope: Scope,
  context: AddressContext,
  at: readonly [Token, Token],
): EncodedAddress {
  const { segment, displacementSize: forced } = address;
  const common = { index: Register.None, scale: 1, displacement, segment };
  if (context.bits === 64) {
    const override = segment === Register.FS || segment === Register.GS;
    const full64 = forced === 8;
    const wanted = address.relative ?? (context.defaultRelative && !override);
    // The distance to a plain number is not known before the program is placed: NASM keeps it absolute.
    if (wanted && (displacement.relative !== 0 || displacement.unknown)) {
      return {
        ...common,
        base: Register.RIP,
        displacementSize: 8,
        addressSize: 64,
        direct: false,
        full64: false,
      };
    }
    const addressSize = context.addressPrefix === 32 ? 32 : 64;
    const displacementSize = addressSize / 8;
    return { ...common, base: Register.None, displacementSize, addressSize, direct: true, full64 };
  }
  if (forced === 8 || forced === 1) {
    scope.reporter.fail(`An address in ${context.bits}-bit code has 16 or 32 bits`, at);
  }
  const addressSize = forced === 2
    ? 16
    : forced === 4
    ? 32
    : context.addressPrefix === 16 || context.addressPrefix === 32
    ? context.addressPrefix
    : context.bits;
  return {
    ...common,
    base: Register.None,
    displacementSize: addressSize / 8,
    addressSize,
    direct: true,
    full64: false,
  };
}

/** Each register's factor, in the order written. Cancelled ones are gone. */
function sumRegisters(address: MemoryAddress, scope: Scope): Map<number, bigint> {
  const sums = new Map<number, bigint>();
  for (const { register, factor, negative } of address.terms) {
    const times = factor ? evaluate(factor, scope) : plain(1n);
    // Forward references are not known in the first pass; one will do until they are.
    const n = times.unknown ? 1n : times.n;
    const sum = (sums.get(register) ?? 0n) + (negative ? -n : n);
    if (sum === 0n) sums.delete(register);
    else sums.set(register, sum);
  }
  return sums;
}

function addressBytes(
  registers: readonly number[],
  scope: Scope,
  at: readonly [Token, Token],
): number {
  let bytes = 0;
  for (const register of registers) {
    const is = registerClass(register);
    if (is !== "gpr16" && is !== "gpr32" && is !== "gpr64") {
      scope.reporter.fail(`Register ${registerName(register)} can't be part of an address`, at);
    }
    const size = registerSize(register);
    if (bytes !== 0 && bytes !== size) {
      scope.reporter.fail("Registers in an address must all have the same size", at);
    }
    bytes = size;
  }
  return bytes;
}

/** 16-bit addressing has eight combinations (SDM vol. 2, table 2-1). */
function pair16(
  sums: ReadonlyMap<number, bigint>,
  scope: Scope,
  at: readonly [Token, Token],
): Registers {
  let base: number = Register.None;
  let index: number = Register.None;
  let wrong = false;
  for (const [register, factor] of sums) {
    if (factor !== 1n) wrong = true;
    if (register === Register.BX || register === Register.BP) {
      wrong ||= base !== Register.None;
      base = register;
    } else if (register === Register.SI || register === Register.DI) {
      wrong ||= index !== Register.None;
      index = register;
    } else wrong = true;
  }
  if (wrong) {
    scope.reporter.fail(
      "16-bit addressing adds bx or bp, si or di, and a constant",
      at,
      "Use 32-bit registers for anything else",
    );
  }
  return base === Register.None
    ? { base: index, index: Register.None, scale: 1 }
    : { base, index, scale: 1 };
}

const isStackPointer = (r: number) => r === Register.ESP || r === Register.RSP;
const isBasePointer = (r: number) => r === Register.EBP || r === Register.RBP;

/** Scale-index-base, with a multiple of three, five or nine split in two, as NASM does. */
function baseAndIndex(
  sums: ReadonlyMap<number, bigint>,
  { terms, nosplit }: MemoryAddress,
  scope: Scope,
  at: readonly [Token, Token],
): Registers {
  const entries = [...sums];
  const invalid = (): never =>
    scope.reporter.fail(
      "An address has one base, one index times 1, 2, 4 or 8, and a displacement",
      at,
    );
  if (entries.length > 2 || entries.some(([, f]) => f < 1n || f > 9n)) invalid();
  const [first, second] = entries;
  if (!first) return invalid();
  if (!second) {
    const scaled = terms.some((term) => term.factor !== undefined);
    return single(first[0], Number(first[1]), nosplit && scaled, invalid);
  }
  let [base, index] = [first[0], second[0]];
  let scale = Number(second[1]);
  if (first[1] !== 1n) {
    // The scaled one is the index; two scaled ones can't be.
    if (scale !== 1) invalid();
    [base, index, scale] = [second[0], first[0], Number(first[1])];
  } else if (scale === 1 && terms[0]?.factor !== undefined && terms[0].register === base) {
    // NASM takes the first register for the base, unless it is written with a factor, be it one.
    [base, index] = [index, base];
  }
  if (scale === 1 && isStackPointer(index)) [base, index] = [index, base];
  if (isStackPointer(index) || ![1, 2, 4, 8].includes(scale)) invalid();
  return { base, index, scale };
}

function single(
  register: number,
  factor: number,
  nosplit: boolean,
  invalid: () => never,
): Registers {
  if (factor === 1 && !nosplit) return { base: register, index: Register.None, scale: 1 };
  if (isStackPointer(register)) invalid();
  if ([3, 5, 9].includes(factor)) return { base: register, index: register, scale: factor - 1 };
  if (factor === 2 && !nosplit) return { base: register, index: register, scale: 1 };
  if (![1, 2, 4, 8].includes(factor)) invalid();
  return { base: Register.None, index: register, scale: factor };
}

/** The shortest displacement that does, unless a keyword asks for another. */
function chooseDisplacement(
  address: MemoryAddress,
  displacement: Value,
  { base, index }: Registers,
  bytes: number,
  context: AddressContext,
): number {
  if (base === Register.None) return bytes;
  const forced = address.displacementSize;
  if (forced === 1) return 1;
  if (forced !== undefined) return bytes;
  if (displacement.relative !== 0 || context.noShort) return bytes;
  const n = BigInt.asIntN(bytes * 8, displacement.n);
  const needed = isBasePointer(base) || base === Register.R13 || base === Register.R13D ||
    (base === Register.BP && index === Register.None);
  if (n === 0n && !needed) return 0;
  return n >= -128n && n <= 127n ? 1 : bytes;
}
