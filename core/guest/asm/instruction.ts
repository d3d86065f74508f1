// One instruction in one pass: operands to values, values to a form, form to bytes, with everything that can be wrong.
import { Register } from "iced-x86";
import { resolveAddress } from "./address.ts";
import { warnIfTooLarge } from "./data.ts";
import { encode } from "./encode.ts";
import { evaluate, type Scope } from "./evaluate.ts";
import { explainMismatch, explainSize } from "./explain.ts";
import type { Form } from "./isa/forms.ts";
import { describeOperand } from "./operand.ts";
import type { InstructionItem } from "./program.ts";
import { type Resolved, selectForm } from "./select.ts";
import type { Value } from "./value.ts";

const REP = 0xf3;
const REPNE = 0xf2;
const LOCK = 0xf0;
const OPERAND_SIZE = 0x66;
const ADDRESS_SIZE = 0x67;
/** REX with only W set. */
const REX_W = 0x48;
const SEGMENT_PREFIX: Readonly<Record<number, number>> = {
  [Register.ES]: 0x26,
  [Register.CS]: 0x2e,
  [Register.SS]: 0x36,
  [Register.DS]: 0x3e,
  [Register.FS]: 0x64,
  [Register.GS]: 0x65,
};

/** The bytes of an instruction at `position`; fails with a diagnostic if there are none. */
export function instructionBytes(
  item: InstructionItem,
  scope: Scope,
  position: Value,
  noShort: boolean,
): Uint8Array {
  const { prefixes, bits } = item;
  const leading: number[] = [];
  if (prefixes.rep) leading.push(prefixes.rep === "rep" ? REP : REPNE);
  if (prefixes.lock) leading.push(LOCK);
  if (item.forms.length === 0) return Uint8Array.from([...leading, ...loosePrefixes(item)]);

  const operands = item.operands.map((_, i) => resolve(item, i, scope, noShort));
  const selection = selectForm(item.forms, operands, {
    bits,
    operandPrefix: prefixes.operandSize,
    addressPrefix: prefixes.addressSize,
    at: position.n,
    section: position.section,
    prefixBytes: leading.length,
    noShort,
  });
  if (selection.is === "none") return explainMismatch(item, operands, scope.reporter);
  if (selection.is === "no-size") return explainSize(item, selection.sizes, scope.reporter);
  const { form } = selection;

  checkLock(item, form, scope);
  const isPortAccess = /^(in|out)$/i.test(item.mnemonic.text);
  checkValues(operands, form, position.n, scope, isPortAccess ? PORT_HINT : undefined);
  leading.push(...sizePrefixes(item, form));
  const bytes = encode({
    form,
    operands,
    bits,
    at: position.n,
    prefixes: leading,
    segment: prefixes.segment,
    addressSize: prefixes.addressSize ?? bits,
  });
  if (typeof bytes !== "string") return bytes;
  return scope.reporter.fail(
    `"${item.mnemonic.text}" can't be encoded with these operands`,
    [item.first, item.last],
    mixesHighByte(operands)
      ? "ah, bh, ch and dh can't stand beside a register that only 64-bit code has"
      : undefined,
  );
}

function resolve(item: InstructionItem, index: number, scope: Scope, noShort: boolean): Resolved {
  const operand = item.operands[index];
  if (!operand) throw new RangeError("No such operand");
  switch (operand.is) {
    case "register":
      return { is: "register", register: operand.register, operand };
    case "immediate":
      return { is: "immediate", value: evaluate(operand.value, scope), operand };
    case "far":
      return {
        is: "far",
        selector: evaluate(operand.selector, scope),
        offset: evaluate(operand.offset, scope),
        operand,
      };
    case "memory": {
      const context = {
        bits: item.bits,
        defaultRelative: item.defaultRelative,
        noShort,
        addressPrefix: item.prefixes.addressSize,
      };
      const address = resolveAddress(operand.address, scope, context, [
        operand.first,
        operand.last,
      ]);
      // A prefix in front of the mnemonic means the same as one in the brackets.
      const segment = address.segment === Register.None ? item.prefixes.segment : address.segment;
      return { is: "memory", address: { ...address, segment }, operand };
    }
  }
}

/** Prefixes that stand alone on a line. */
function loosePrefixes({ prefixes, bits }: InstructionItem): number[] {
  const bytes: number[] = [];
  const segment = SEGMENT_PREFIX[prefixes.segment];
  if (segment !== undefined) bytes.push(segment);
  if (prefixes.operandSize === 64) bytes.push(REX_W);
  else if (prefixes.operandSize !== undefined && changesOperandSize(prefixes.operandSize, bits)) {
    bytes.push(OPERAND_SIZE);
  }
  if (prefixes.addressSize !== undefined && prefixes.addressSize !== bits) bytes.push(ADDRESS_SIZE);
  return bytes;
}

function changesOperandSize(size: number, bits: number): boolean {
  return size !== (bits === 64 ? 32 : bits);
}

/** Prefixes that were asked for and that the form does not bring itself. */
function sizePrefixes({ prefixes, bits, operands }: InstructionItem, form: Form): number[] {
  const bytes: number[] = [];
  const hasMemory = operands.some((operand) => operand.is === "memory") ||
    form.hasImplicitMemory;
  const segment = SEGMENT_PREFIX[prefixes.segment];
  if (segment !== undefined && !hasMemory) bytes.push(segment);
  const { operandSize, addressSize } = prefixes;
  if (operandSize !== undefined && form.operandSize !== operandSize) {
    if (operandSize === 64) bytes.push(REX_W);
    else if (changesOperandSize(operandSize, bits)) bytes.push(OPERAND_SIZE);
  }
  if (addressSize !== undefined && addressSize !== bits && !hasMemory && form.addressSize === 0) {
    bytes.push(ADDRESS_SIZE);
  }
  return bytes;
}

function checkLock(
  { prefixes, mnemonic, operands }: InstructionItem,
  form: Form,
  scope: Scope,
): void {
  if (prefixes.lock && !(form.lockable && operands.some((o) => o.is === "memory"))) {
    scope.reporter.warning(
      `"${mnemonic.text}" can't be locked with these operands: it will fault`,
      prefixes.lock,
    );
  }
}

const PORT_HINT = "Ports above 0xff are reached by dx";

/** Numbers that are cut, and branches that do not reach. `hint`: what to do about one that is. */
function checkValues(
  operands: readonly Resolved[],
  form: Form,
  at: bigint,
  scope: Scope,
  hint: string | undefined,
): void {
  operands.forEach((operand, i) => {
    if (operand.is !== "immediate" || operand.value.unknown) return;
    const kind = form.accepts[i];
    const token = operand.operand.first;
    if (kind?.immediate) {
      const { bytes, extendedTo } = kind.immediate;
      const n = operand.value.n;
      if (extendedTo === 64 && bytes === 4 && operand.value.relative === 0) {
        if (n < -0x80000000n || n > 0x7fffffffn) {
          scope.reporter.warning(
            `${describeOperand(operand.operand)} ${n} does not fit 32 bits with a sign and is cut`,
            token,
            "Load it into a register first: mov takes 64-bit constants",
          );
        }
      } else if (bytes === 1 && extendedTo !== 0) {
        if (BigInt.asIntN(extendedTo, n) !== BigInt.asIntN(8, n)) {
          scope.reporter.warning(`${n} does not fit a byte with a sign and is cut`, token);
        }
      } else warnIfTooLarge(operand.value, bytes, token, scope, hint);
    }
    if (kind?.branch?.bytes === 1) {
      // Two bytes, or a little more with prefixes: iced has the last word, this one words it.
      const distance = BigInt.asIntN(kind.branch.bits, operand.value.n - at - 2n);
      if (distance < -136n || distance > 144n) {
        scope.reporter.fail(
          `Target of the short jump is ${distance} bytes away: it reaches from -128 to 127`,
          token,
          form.hasNearTwin ? 'Leave out "short"' : "Jump there from a place in between",
        );
      }
    }
  });
}

function mixesHighByte(operands: readonly Resolved[]): boolean {
  return operands.some((o) =>
    o.is === "register" && o.register >= Register.AH && o.register <= Register.BH
  );
}
