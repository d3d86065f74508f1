// Text in columns: widths are in characters, as a terminal shows the scripts used here.
export const WIDTH = 80;

/** Number of characters (not UTF-16 units). */
export function widthOf(text: string): number {
  return [...text].length;
}

/** Pads on the right; always leaves two spaces before what follows. */
export function left(text: string, width: number): string {
  return text + " ".repeat(Math.max(2, width - widthOf(text)));
}

/** Pads on the left. */
export function right(text: string, width: number): string {
  return " ".repeat(Math.max(1, width - widthOf(text))) + text;
}

/** Cuts with an ellipsis. */
export function cut(text: string, width: number): string {
  const characters = [...text];
  return characters.length <= width ? text : characters.slice(0, width - 1).join("") + "…";
}

/** `46 870`: groups of three, as tables are read. */
export function grouped(value: number): string {
  return String(Math.round(value)).replaceAll(/\B(?=(\d{3})+(?!\d))/g, " ");
}

/**
 * As {@linkcode grouped}, in at most 7 characters, so that columns stay apart: from a million on with four digits in
 * millions (`6.213 M`), billions or trillions.
 */
export function short(value: number): string {
  if (value < 1e6) return grouped(value);
  const [unit, letter] = value < 1e9 ? [1e6, "M"] : value < 1e12 ? [1e9, "G"] : [1e12, "T"];
  return `${(value / unit).toPrecision(4)} ${letter}`;
}

/** `4.4x`, `39x`, `1 200x`. */
export function times(ratio: number): string {
  if (!Number.isFinite(ratio)) return "–";
  if (ratio < 10) return `${ratio.toFixed(ratio < 1.095 ? 2 : 1)}x`;
  return `${grouped(ratio)}x`;
}

/** Text broken into lines of at most `width` at its spaces; a longer word has a line of its own. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(/\s+/).filter((w) => w !== "")) {
    const last = lines.at(-1);
    if (last !== undefined && widthOf(last) + 1 + widthOf(word) <= width) {
      lines[lines.length - 1] = `${last} ${word}`;
    } else lines.push(word);
  }
  return lines;
}
