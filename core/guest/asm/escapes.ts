// C's escapes in backquoted strings (NASM manual, 3.4.2).
const SIMPLE: Readonly<Record<string, number>> = {
  a: 7,
  b: 8,
  t: 9,
  n: 10,
  v: 11,
  f: 12,
  r: 13,
  e: 27,
};

const ESCAPE = /\\(?:([0-7]{1,3})|x([\da-fA-F]{1,2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|([\s\S]))/g;
const MAX_CODE_POINT = 0x10ffff;

/** The bytes that the inside of a backquoted string stands for, one UTF-16 unit a byte. */
export function decodeEscapes(body: string): string {
  let bytes = "";
  let done = 0;
  for (const match of body.matchAll(ESCAPE)) {
    bytes += utf8(body.slice(done, match.index));
    done = match.index + match[0].length;
    const [, octal, hex, short, long, other] = match;
    if (octal !== undefined) bytes += String.fromCharCode(parseInt(octal, 8) & 0xff);
    else if (hex !== undefined) bytes += String.fromCharCode(parseInt(hex, 16));
    else if (short !== undefined || long !== undefined) {
      const point = parseInt(short ?? long ?? "", 16);
      bytes += utf8(String.fromCodePoint(point <= MAX_CODE_POINT ? point : 0xfffd));
    } else if (other !== undefined) {
      const simple = SIMPLE[other];
      // Quotes, backslash and `?` stand for themselves, and so does whatever C gives no meaning.
      bytes += simple === undefined ? utf8(other) : String.fromCharCode(simple);
    }
  }
  return bytes + utf8(body.slice(done));
}

/** The UTF-8 bytes of a text, one UTF-16 unit a byte. */
export function utf8(text: string): string {
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) >= 0x80) {
      return Array.from(new TextEncoder().encode(text), (b) => String.fromCharCode(b)).join("");
    }
  }
  return text;
}
