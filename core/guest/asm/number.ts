// Numeric constants in all of NASM's spellings (NASM manual, 3.4.1): 0x1f, 1fh, $1f, 0b101, 101b, 0o17, 17q, 1_000.

const RADIX_LETTERS: Readonly<Record<string, number>> = {
  x: 16,
  h: 16,
  d: 10,
  t: 10,
  o: 8,
  q: 8,
  b: 2,
  y: 2,
};

const DIGITS: Readonly<Record<number, RegExp>> = {
  2: /^[01]+$/,
  8: /^[0-7]+$/,
  10: /^\d+$/,
  16: /^[\da-f]+$/,
};

/** Longest constant in digits: far more than 64 bits need, and short enough to convert at once. */
const MAX_DIGITS = 128;

/** The value, `"float"` for a floating-point constant, or undefined for what is neither. */
export function parseNumber(text: string): bigint | "float" | undefined {
  const plain = text.toLowerCase().replaceAll("_", "");
  if (plain.length > MAX_DIGITS) return undefined;
  if (plain.includes(".") || /^\d+e[+-]?\d+$/.test(plain)) return "float";
  if (plain.startsWith("$")) return inRadix(plain.slice(1), 16);
  const first = plain.charAt(0) === "0" ? RADIX_LETTERS[plain.charAt(1)] : undefined;
  if (first !== undefined && plain.length > 2) {
    // `0bh` is hexadecimal 0b, so a prefix counts only where its digits make sense.
    const prefixed = inRadix(plain.slice(2), first);
    if (prefixed !== undefined) return prefixed;
  }
  const last = RADIX_LETTERS[plain.charAt(plain.length - 1)];
  if (last !== undefined && plain.length > 1 && plain.charAt(plain.length - 1) !== "x") {
    return inRadix(plain.slice(0, -1), last);
  }
  return inRadix(plain, 10);
}

function inRadix(digits: string, radix: number): bigint | undefined {
  if (!DIGITS[radix]?.test(digits)) return undefined;
  if (radix === 10) return BigInt(digits);
  if (radix === 16) return BigInt("0x" + digits);
  return BigInt((radix === 8 ? "0o" : "0b") + digits);
}
