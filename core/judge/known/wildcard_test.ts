import { assertEquals } from "@std/assert";
import { matchesWildcard } from "./wildcard.ts";

const ROWS: readonly [pattern: string, text: string, matches: boolean][] = [
  ["a", "a", true],
  ["a", "ab", false],
  ["", "", true],
  ["*", "", true],
  ["*", "anything", true],
  ["smp/*", "smp/nmi", true],
  ["smp/*", "smpx/nmi", false],
  ["*@kvm", "full-hw@kvm", true],
  ["*@kvm", "full-hw@qemu", false],
  ["full-*@*", "full-hw@kvm", true],
  ["a*a", "a", false],
  ["a*a", "aa", true],
  ["a*b*a", "aba", true],
  ["a*b*a", "aca", false],
  ["x[length=*]", "x[length=5]", true],
  ["x.y", "xzy", false],
  ["a**b", "ab", true],
];

for (const [pattern, text, matches] of ROWS) {
  Deno.test(`matchesWildcard() finds that ${pattern} ${matches ? "matches" : "does not match"} "${text}"`, () => {
    assertEquals(matchesWildcard(pattern, text), matches);
  });
}
