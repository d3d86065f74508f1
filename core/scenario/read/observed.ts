// Checks that what a scenario expects of memory can be judged from what is kept of memory. A label that is not observed is
// kept up to the next label, 8 bytes at most, or as far as a text goes that is expected there.
import type { BytesMatcher, GuestSpec } from "../case.ts";
import type { Findings } from "../findings.ts";
import type { AllExpectations } from "../scenario.ts";

/** Reports expectations that look at more bytes than are observed, or at a number of bytes that nobody knows. */
export function checkObserved(
  guest: GuestSpec,
  { hostTime, ...all }: AllExpectations,
  findings: Findings,
): void {
  const observed = new Map(Object.entries(guest.observe.memory));
  const layers = hostTime ? [all, hostTime] : [all];
  for (const { memory } of layers.flatMap(({ common, per }) => [common, ...per.values()])) {
    for (const [label, { value, span }] of Object.entries(memory)) {
      const kept = observed.get(label);
      if (kept === undefined && !isBounded(value)) {
        findings.error(
          span,
          `How many bytes to look at from "${label}" on is not stated`,
          `Add \`observe: { memory: { ${label}: 64 } }\` to the guest`,
        );
      }
      const compared = bytesCompared(value);
      if (kept !== undefined && compared > kept) {
        findings.error(
          span,
          `${compared} bytes are expected at "${label}", but only ${kept} observed`,
          `Write \`${label}: ${compared}\` under \`observe\``,
        );
      }
    }
  }
}

/** Does the matcher itself say where the bytes end that it looks at? */
function isBounded(matcher: BytesMatcher): boolean {
  switch (matcher.is) {
    case "equal":
    case "starts-with":
    case "integer":
    case "any":
      return true;
    case "not":
      return isBounded(matcher.matcher);
    case "all-of":
      return matcher.matchers.some(isBounded);
    case "contains":
    case "matches":
    case "length":
      return false;
  }
}

/** The longest text that a matcher compares memory with, in bytes. */
function bytesCompared(matcher: BytesMatcher): number {
  switch (matcher.is) {
    case "equal":
    case "starts-with":
    case "contains":
      return matcher.bytes.length;
    case "not":
      return bytesCompared(matcher.matcher);
    case "all-of":
      return Math.max(0, ...matcher.matchers.map(bytesCompared));
    case "matches":
    case "length":
    case "integer":
    case "any":
      return 0;
  }
}
