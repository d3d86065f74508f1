// Text that somebody else wrote, made fit for a terminal. Scenarios, file names and guests are untrusted, and a terminal obeys
// what is written to it.

/**
 * What a terminal would obey rather than show: control characters (C0 but for the tab, DEL, C1), the marks of Unicode that
 * reorder what stands around them (UAX #9), and line and paragraph separators.
 */
// deno-lint-ignore no-control-regex
const OBEYED = /[\0-\x08\x0a-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** First of the pictures of control characters, U+2400 to U+2421. */
const PICTURES = 0x2400;
const DELETE = 0x7f;
const PICTURE_OF_DELETE = "\u2421";
const REPLACEMENT = "\ufffd";

/**
 * One line of text in which nothing is obeyed: control characters become their pictures, the others U+FFFD. As long as before,
 * so that columns stay true.
 */
export function printable(text: string): string {
  return text.replaceAll(OBEYED, (character) => {
    const code = character.charCodeAt(0);
    if (code < 0x20) return String.fromCharCode(PICTURES + code);
    return code === DELETE ? PICTURE_OF_DELETE : REPLACEMENT;
  });
}
