// What a plain (unquoted) YAML scalar means: the core schema of YAML 1.2.2, 10.3.2, with diagnostics where it differs
// from what people coming from C, from assembly or from YAML 1.1 expect.
import type { Scalar } from "./node.ts";

/** A value that is legal YAML, yet certainly not what was meant. */
export interface Trap {
  readonly message: string;
  readonly suggestion: string;
}

const MIN_INTEGER = -(2n ** 63n);
const MAX_INTEGER = 2n ** 64n - 1n;

/** More digits than any 64-bit number has, in any base. */
const MAX_DIGITS = 66;

/** The value of a plain scalar. Integers must fit 64 bits, signed or unsigned. */
export function resolvePlain(source: string): { readonly value: Scalar; readonly trap?: Trap } {
  if (/^(|~|null|Null|NULL)$/.test(source)) return { value: null };
  if (/^(true|True|TRUE)$/.test(source)) return { value: true };
  if (/^(false|False|FALSE)$/.test(source)) return { value: false };
  if (/^([-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$/.test(source)) return resolveInteger(source);
  if (/^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$/.test(source)) {
    return { value: Number(source) };
  }
  return { value: source };
}

function resolveInteger(source: string): { readonly value: Scalar; readonly trap?: Trap } {
  const octal = /^([-+]?)0([0-9]+)$/.exec(source);
  const value = source.length > MAX_DIGITS ? MAX_INTEGER + 1n : BigInt(source);
  if (value < MIN_INTEGER || value > MAX_INTEGER) {
    return {
      value: 0n,
      trap: {
        message: "The number does not fit 64 bits",
        suggestion: "Write at most 0xffffffffffffffff",
      },
    };
  }
  if (octal) {
    const digits = octal[2] ?? "";
    const decimal = String(value);
    return {
      value,
      trap: {
        message: `YAML 1.2 reads ${source} as the decimal number ${decimal}`,
        suggestion: /^[0-7]+$/.test(digits) && /[1-7]/.test(digits)
          ? `Write ${decimal}, or 0o${digits.replace(/^0+/, "")} for an octal number`
          : `Write ${decimal}, or quote it if it is text`,
      },
    };
  }
  return { value };
}

/** What to write where a number was expected, but YAML 1.2 reads `text` as text. */
export function numberHint(text: string): string | undefined {
  const bare = text.replaceAll(/[_,' ]/g, "");
  if (/^[0-9][0-9a-fA-F]*[hH]$/.test(bare)) {
    return `Hexadecimal is written 0x${bare.slice(0, -1).toLowerCase()}`;
  }
  if (/^0[bB][01]{1,64}$/.test(bare)) {
    return `YAML has no binary numbers: write 0x${BigInt(bare.toLowerCase()).toString(16)}`;
  }
  const [, count, unit] = /^([0-9]{1,15})([kKmMgG])(i?[bB])?$/.exec(bare) ?? [];
  if (count && unit) return `Write ${count} ${unit.toUpperCase()}iB`;
  if (/^[0-9]{4}-[0-9]{2}-[0-9]{2}/.test(text)) return "This looks like a date";
  if (/^-0x[0-9a-fA-F]{1,16}$/.test(bare)) {
    return `YAML has no negative hexadecimal numbers: write ${-BigInt(bare.slice(1))}`;
  }
  if (/^(0X[0-9a-fA-F]+|0x[0-9a-fA-F]+|[0-9]+)$/.test(bare)) {
    return `YAML 1.2 reads this as text: write ${bare.toLowerCase()}, without quotes`;
  }
  return undefined;
}

/** What to write where true or false was expected, but YAML 1.2 reads `text` as text. */
export function booleanHint(text: string): string | undefined {
  if (/^(yes|y|on)$/i.test(text)) return `YAML 1.2 reads ${text} as text: write true`;
  if (/^(no|n|off)$/i.test(text)) return `YAML 1.2 reads ${text} as text: write false`;
  return undefined;
}
