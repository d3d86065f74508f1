// Picks the form of an instruction that fits its operands: the first that needs no more prefixes than another.
import { Register } from "iced-x86";
import type { EncodedAddress } from "./address.ts";
import type { Form } from "./isa/forms.ts";
import type { ImmediateKind, OperandKind } from "./isa/kinds.ts";
import type { Operand } from "./operand.ts";
import { needsLongMode, registerClass, registerSize } from "./isa/registers.ts";
import type { Value } from "./value.ts";

/** An operand with its values known. */
export type Resolved =
  & { readonly operand: Operand }
  & (
    | { readonly is: "register"; readonly register: number }
    | { readonly is: "immediate"; readonly value: Value }
    | { readonly is: "far"; readonly selector: Value; readonly offset: Value }
    | { readonly is: "memory"; readonly address: EncodedAddress }
  );

export interface SelectContext {
  readonly bits: 16 | 32 | 64;
  /** By `o16`, `o32`, `o64`. */
  readonly operandPrefix: 16 | 32 | 64 | undefined;
  /** By `a16`, `a32`, `a64`. */
  readonly addressPrefix: 16 | 32 | 64 | undefined;
  /** Address of the instruction, and the section it is in. */
  readonly at: bigint;
  readonly section: number;
  /** Bytes of prefixes that are written out and no part of the form. */
  readonly prefixBytes: number;
  /** Take long forms even where a short one fits (see `layout.ts`). */
  readonly noShort: boolean;
}

export type Selection =
  | { readonly is: "form"; readonly form: Form }
  /** Fits, but nothing says how wide the memory operand is. */
  | { readonly is: "no-size"; readonly sizes: readonly number[] }
  | { readonly is: "none" };

const MODE_BIT = { 16: 1, 32: 2, 64: 4 } as const;

/** Picks among `forms`. */
export function selectForm(
  forms: readonly Form[],
  operands: readonly Resolved[],
  context: SelectContext,
): Selection {
  const mode = MODE_BIT[context.bits];
  const unsized = operands.some((o) => o.is === "memory" && o.operand.modifiers.size === undefined);
  const sizes = new Set<number>();
  let best: Form | undefined;
  let bestPenalty = Infinity;
  for (const form of forms) {
    if ((form.modes & mode) === 0 || form.kinds.length !== operands.length) continue;
    if (!fits(form, operands, context)) continue;
    if (unsized) sizes.add(form.memorySize);
    const penalty = prefixesOf(form, context);
    if (penalty < bestPenalty) {
      best = form;
      bestPenalty = penalty;
    }
    if (penalty === 0 && !unsized) break;
  }
  if (!best) return { is: "none" };
  if (sizes.size > 1 && !best.naturalMemory) return { is: "no-size", sizes: [...sizes] };
  return { is: "form", form: best };
}

/** How many prefixes the form's operand and address size cost; a size asked for by a prefix is preferred to any other. */
function prefixesOf(form: Form, context: SelectContext): number {
  const { bits, operandPrefix, addressPrefix } = context;
  let cost = 0;
  const size = form.operandSize;
  if (operandPrefix !== undefined) cost += size === operandPrefix ? 0 : 4;
  else if (size !== 0) {
    // A far pointer in memory is taken to be as wide as it can be; other operands have 32 bits in 64-bit code.
    const wide = form.default64 || form.kinds[0] === "mem_far";
    const natural = size === (bits === 64 && !wide ? 32 : bits);
    if (!natural) cost++;
  }
  if (form.addressSize !== 0) {
    const wanted = addressPrefix ?? bits;
    if (form.addressSize !== wanted) cost += 2;
  }
  return cost;
}

function fits(form: Form, operands: readonly Resolved[], context: SelectContext): boolean {
  for (let i = 0; i < operands.length; i++) {
    const operand = operands[i];
    const kind = form.accepts[i];
    if (!operand || !kind || !accepts(kind, operand, form, operands, context)) return false;
  }
  return true;
}

function accepts(
  kind: OperandKind,
  resolved: Resolved,
  form: Form,
  all: readonly Resolved[],
  context: SelectContext,
): boolean {
  const { modifiers } = resolved.operand;
  switch (resolved.is) {
    case "register": {
      const { register } = resolved;
      if (modifiers.size !== undefined && modifiers.size !== registerSize(register)) return false;
      if (modifiers.distance === "far") return false;
      if (context.bits !== 64 && needsLongMode(register)) return false;
      if (kind.fixed !== undefined) return kind.fixed === register;
      if (kind.register !== registerClass(register)) return false;
      if (modifiers.to !== (kind.to === true)) return false;
      // xchg eax, eax must not become a nop where 32-bit results are extended (SDM vol. 2, NOP).
      return !(context.bits === 64 && kind.register === "gpr32" && register === Register.EAX &&
        form.kinds.length === 2 && form.kinds.includes("r32_opcode") && form.kinds.includes("eax"));
    }
    case "memory":
      return acceptsMemory(kind, resolved, form, all, context);
    case "far":
      return kind.far !== undefined &&
        (modifiers.size === undefined || modifiers.size * 8 === kind.far);
    case "immediate":
      if (kind.branch) return acceptsBranch(kind.branch, resolved, form, context);
      if (!kind.immediate || modifiers.distance !== undefined) return false;
      return acceptsImmediate(kind.immediate, resolved.value, resolved.operand, context);
  }
}

function acceptsMemory(
  kind: OperandKind,
  { operand, address }: Resolved & { is: "memory" },
  form: Form,
  all: readonly Resolved[],
  context: SelectContext,
): boolean {
  const { size, distance } = operand.modifiers;
  if (kind.memory === undefined) return false;
  if ((distance === "far") !== (kind.memory === "far")) return false;
  if (kind.memory === "direct") {
    if (!address.direct || (context.bits === 64 && !address.full64)) return false;
  } else if (address.full64) return false;
  if (size !== undefined) {
    return size === form.memorySize || (form.memorySize === 0 && size === form.operandSize / 8);
  }
  // mov [x], byte 5: a size on the immediate serves the memory operand too.
  const immediate = all.find((o) => o.is === "immediate")?.operand.modifiers.size;
  return immediate === undefined || all.length !== 2 || form.memorySize === immediate;
}

function acceptsBranch(
  branch: NonNullable<OperandKind["branch"]>,
  { operand, value }: Resolved & { is: "immediate" },
  form: Form,
  context: SelectContext,
): boolean {
  const { size, distance } = operand.modifiers;
  if (distance === "far") return false;
  if (size !== undefined && size * 8 !== branch.bits && !(size === 4 && branch.bits === 64)) {
    return false;
  }
  if (branch.bytes !== 1) return distance !== "short";
  if (distance === "short" || !form.hasNearTwin) return distance !== "near";
  if (distance === "near" || context.noShort || size !== undefined) return false;
  if (value.unknown) return true;
  // A number may be anywhere; only what is in the same section is known to be near (as NASM has it).
  if (value.relative !== 1 || value.section !== context.section) return false;
  const length = BigInt(2 + context.prefixBytes + (prefixesOf(form, context) & 1));
  const distanceInBytes = BigInt.asIntN(branch.bits, value.n - context.at - length);
  return distanceInBytes >= -128n && distanceInBytes <= 127n;
}

function acceptsImmediate(
  kind: ImmediateKind,
  value: Value,
  operand: Operand,
  context: SelectContext,
): boolean {
  const { size, strict } = operand.modifiers;
  if (kind.only !== undefined) {
    return size === undefined && !value.unknown && value.relative === 0 && value.n === kind.only;
  }
  if (kind.bytes === 1 && kind.extendedTo !== 0) {
    if (size === 1) return true;
    if (strict || (size !== undefined && size * 8 !== kind.extendedTo)) return false;
    if (value.relative !== 0 || context.noShort) return false;
    if (value.unknown) return true;
    const n = BigInt.asIntN(kind.extendedTo, value.n);
    return n >= -128n && n <= 127n;
  }
  if (kind.constant) {
    if (value.relative !== 0 || context.noShort) return false;
    if (value.unknown) return true;
    if (kind.zeroExtended) {
      if (size === 4 || (size === 8 && strict)) return false;
      return value.n >= 0n && value.n <= 0xffffffffn;
    }
    if (strict && size === 8) return false;
    if (size === 4) return true;
    return value.n >= -0x80000000n && value.n <= 0x7fffffffn;
  }
  return size === undefined || size === kind.bytes ||
    (kind.extendedTo !== 0 && size * 8 === kind.extendedTo);
}
