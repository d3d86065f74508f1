// Ranges of versions: `<8`, `>=7.2 <9`, `7.2`. All of the comparisons must hold. A comparison looks at as many numbers as it
// has itself: 7.2.13 is 7.2, and neither more nor less than it.

/** What a range is written like; `*` is every version. */
export const VERSION_RANGE = /^(\*|(<|<=|>|>=|=)?\d+(\.\d+)*( (<|<=|>|>=|=)?\d+(\.\d+)*)*)$/;

/** Is the version in the range? One that is not known, or has no numbers, is in none but `*`. */
export function isInRange(version: string | undefined, range: string): boolean {
  if (range === "*") return true;
  const numbers = /\d+(\.\d+)*/.exec(version ?? "")?.[0].split(".").map(Number);
  return numbers !== undefined && range.split(" ").every((part) => holds(numbers, part));
}

function holds(version: readonly number[], comparison: string): boolean {
  const [, operator = "", text = ""] = /^([<>=]*)(.*)$/.exec(comparison) ?? [];
  const wanted = text.split(".").map(Number);
  const difference = wanted.map((n, i) => (version[i] ?? 0) - n).find((d) => d !== 0) ?? 0;
  switch (operator) {
    case "<":
      return difference < 0;
    case "<=":
      return difference <= 0;
    case ">":
      return difference > 0;
    case ">=":
      return difference >= 0;
    default:
      return difference === 0;
  }
}
