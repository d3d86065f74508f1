// How numbers and bytes are written, everywhere: lower case, `0x` in front of numbers, none in front of byte strings.

/** `0x3f8`; negative bigints are shown as the unsigned 64-bit value. */
export function hex(value: number | bigint, digits = 0): string {
  const unsigned = typeof value === "bigint" ? BigInt.asUintN(64, value) : value;
  return "0x" + unsigned.toString(16).padStart(digits, "0");
}

/** `0f0b`; with a separator, `0f 0b`. */
export function hexBytes(bytes: Uint8Array, separator = ""): string {
  return Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join(separator);
}

/** The inverse of {@linkcode hexBytes}; throws `SyntaxError` for anything else. */
export function fromHexBytes(text: string): Uint8Array {
  const digits = text.replaceAll(/\s+/g, "");
  if (digits.length % 2 !== 0 || /[^0-9a-f]/i.test(digits)) {
    throw new SyntaxError(`Not a string of hexadecimal bytes: "${text}"`);
  }
  return Uint8Array.from(
    { length: digits.length / 2 },
    (_, i) => parseInt(digits.slice(2 * i, 2 * i + 2), 16),
  );
}
