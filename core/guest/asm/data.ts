// db, dw, dd, dq and dt: values to little-endian bytes.
import { evaluate, type Scope } from "./evaluate.ts";
import { sizeName } from "./operand.ts";
import type { DataElement, Item } from "./program.ts";
import type { Token } from "./token.ts";
import type { Value } from "./value.ts";

/** The bytes of a data item. */
export function dataBytes(item: Item & { is: "data" }, scope: Scope): Uint8Array {
  const { width, elements, first } = item;
  const bytes = new Uint8Array(elements.reduce((sum, e) => sum + lengthOf(e, width), 0));
  let at = 0;
  for (const element of elements) {
    writeElement(bytes, at, element, width, scope, first);
    at += lengthOf(element, width);
  }
  return bytes;
}

/** A string takes whole elements, the last one filled with zeros. */
function lengthOf(element: DataElement, width: number): number {
  return element.is === "string" ? Math.ceil(element.text.length / width) * width : width;
}

function writeElement(
  bytes: Uint8Array,
  at: number,
  element: DataElement,
  width: number,
  scope: Scope,
  first: Token,
): void {
  switch (element.is) {
    case "nothing":
      return;
    case "string":
      for (let i = 0; i < element.text.length; i++) bytes[at + i] = element.text.charCodeAt(i);
      return;
    case "float": {
      const value = Number(element.text) * (element.negative ? -1 : 1);
      const view = new DataView(bytes.buffer);
      if (width === 4) view.setFloat32(at, value, true);
      else if (width === 8) view.setFloat64(at, value, true);
      else scope.reporter.fail("A floating-point constant needs dd or dq", element.at);
      return;
    }
    case "expression": {
      const value = evaluate(element.value, scope);
      warnIfTooLarge(value, width, element.value.at, scope);
      let rest = BigInt.asUintN(64, value.n);
      for (let i = 0; i < Math.min(width, 8); i++, rest >>= 8n) {
        bytes[at + i] = Number(rest & 0xffn);
      }
      if (width > 8 && value.n < 0n) bytes.fill(0xff, at + 8, at + width);
      return;
    }
    default: {
      const never: never = element;
      scope.reporter.fail(`Unknown data ${never}`, first);
    }
  }
}

/** NASM stores what fits of a number and says so. */
export function warnIfTooLarge(
  value: Value,
  bytes: number,
  at: Token,
  scope: Scope,
  hint?: string,
): void {
  if (bytes >= 8 || value.unknown || value.relative !== 0) return;
  const bits = BigInt(bytes * 8);
  if (value.n >= -(1n << (bits - 1n)) && value.n < 1n << bits) return;
  scope.reporter.warning(`${value.n} does not fit a ${sizeName(bytes)} and is cut`, at, hint);
}
