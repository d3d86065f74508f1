// Text that stands for bytes: the console, memory, disks. Text is UTF-8, except that `\x80` to `\xff` of a double-quoted
// string are single bytes, as they are in every assembler. While such a byte travels inside a string it is the lone
// surrogate U+DC00 + byte, which no valid text contains (the same device as Python's "surrogateescape").
import { fromHexBytes } from "../base/hex.ts";

const ESCAPED = 0xdc00;

const encoder = new TextEncoder();

/** The character that stands for a byte from 0x80 to 0xff. */
export function escapedByte(byte: number): string {
  return String.fromCharCode(ESCAPED + byte);
}

/** The bytes that a text stands for. */
export function bytesOfText(text: string): Uint8Array {
  if (!/[\udc80-\udcff]/.test(text)) return encoder.encode(text);
  const bytes: number[] = [];
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    if (code >= ESCAPED + 0x80 && code <= ESCAPED + 0xff) bytes.push(code - ESCAPED);
    else bytes.push(...encoder.encode(character));
  }
  return Uint8Array.from(bytes);
}

/** The bytes that hexadecimal digits stand for, as in `0f 0b`; none if they are not in pairs. */
export function bytesOfHex(text: string): Uint8Array {
  const digits = text.replaceAll(/\s+/g, "");
  return /^([0-9a-fA-F]{2})*$/.test(digits) ? fromHexBytes(digits) : new Uint8Array();
}

/**
 * `value` is what a double-quoted YAML scalar decodes to, `source` how it was written: marks the characters that were
 * written as `\xNN`. Folding and escapes never reorder characters, so the n-th one from U+0080 to U+00FF of either belongs
 * to the n-th of the other.
 */
export function markEscapedBytes(value: string, source: string): string {
  if (!/\\x[89a-fA-F]/.test(source)) return value;
  const origins: boolean[] = [];
  const written =
    /\\x(?<byte>[0-9a-f]{2})|(?<character>\\u00[89a-f][0-9a-f]|\\U000000[89a-f][0-9a-f]|\\[N_]|[\u0080-\u00ff])|\\./gis;
  for (const { groups } of source.matchAll(written)) {
    if (groups?.["byte"]) {
      if (parseInt(groups["byte"], 16) >= 0x80) origins.push(true);
    } else if (groups?.["character"]) origins.push(false);
  }
  let index = 0;
  return value.replaceAll(
    /[\u0080-\u00ff]/g,
    (character) => origins[index++] ? escapedByte(character.charCodeAt(0)) : character,
  );
}
