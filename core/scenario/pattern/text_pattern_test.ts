// The oracle is JavaScript's own regular expressions, which match the same where they understand the same.
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { patternFault, textPattern } from "./text_pattern.ts";

// deno-fmt-ignore
const PATTERNS = [
  "^x+$",
  "^x*$",
  "x?",
  "",
  "a|b",
  "(a|b)*c",
  "(?:ab)+",
  "^(a*)*$",
  "a{3}",
  "a{2,}",
  "a{1,3}b",
  "[a-c]+",
  "[^a-c]",
  "\\d+",
  "\\D",
  "\\w\\s\\w",
  "\\bab\\b",
  "\\Bb",
  ".",
  "^.$",
  "a.c",
  "\\x61",
  "\\u0061",
  "\\u{1f600}",
  "[\\d-]",
  "[\\]a]",
  "[-a]",
  "[a-]",
  "(a|)b",
  "(|a)+b",
  "^$",
  "a$",
  "^a",
  "[^]",
  "[]",
  "a\\.b",
  "\\n$",
  "[\\Da]",
  "(^a|b$)",
  "x*?y",
  "😀+",
  "(a{2}){2}",
  "(?:)*",
  "\\0",
  "[\\b]",
  "((a|b)(c|d))+$",
  "()",
  "(){3}",
  "[\\W\\d]",
];

// deno-fmt-ignore
const TEXTS = [
  "", "x", "xxxx", "a", "ab", "abab", "aab", "abc", "cab", "a b", "aaa", "aaaa", "a\nb", "ab\n", "😀", "😀😀", "1-2", "]", "-",
  "a.b", "\0", "\b", "acbd", "é", "c", "_a", "b",
];

Deno.test("`textPattern()` agrees with RegExp on a table", () => {
  for (const pattern of PATTERNS) {
    const oracle = new RegExp(pattern, "u");
    assertEquals(patternFault(pattern), undefined, pattern);
    const ours = textPattern(pattern);
    for (const text of TEXTS) {
      assertEquals(ours.test(text), oracle.test(text), `/${pattern}/ on ${JSON.stringify(text)}`);
    }
  }
});

Deno.test("`textPattern()` agrees with RegExp on random patterns and texts", () => {
  const atom = fc.constantFrom(
    "a",
    "b",
    "c",
    ".",
    "^",
    "$",
    "\\b",
    "[ab]",
    "[^a]",
    "\\w",
    "\\s",
    " ",
  );
  const suffix = fc.constantFrom("", "", "*", "+", "?", "{2}", "{1,2}", "{0,}");
  const pattern = fc.letrec<{ node: string }>((tie) => ({
    node: fc.oneof(
      { maxDepth: 4 },
      atom,
      fc.tuple(tie("node"), suffix).map(([node, repeat]) => `(?:${node})${repeat}`),
      fc.tuple(tie("node"), tie("node")).map(([a, b]) => a + b),
      fc.tuple(tie("node"), tie("node")).map(([a, b]) => `${a}|${b}`),
    ),
  })).node;
  const text = fc.array(fc.constantFrom("a", "b", "c", " ", "\n"), { maxLength: 8 })
    .map((characters) => characters.join(""));
  fc.assert(
    fc.property(pattern, text, (pattern, text) => {
      assertEquals(textPattern(pattern).test(text), new RegExp(pattern, "u").test(text));
    }),
    { numRuns: 3000, seed: 1 },
  );
});

Deno.test("`textPattern()` takes linear time where RegExp would not end", () => {
  const text = "a".repeat(1 << 16);
  for (const pattern of ["^(a+)+$b", "a*a*a*a*b", "(a|a)*c", "(a|aa)+$x", "(.*)*x"]) {
    assert(!textPattern(pattern).test(text), pattern);
  }
});

Deno.test("`patternFault()` says what is not supported, and what is broken", () => {
  // deno-fmt-ignore
  const broken = [
    "(",
    ")",
    "(a",
    "a)",
    "[",
    "[a",
    "*",
    "a**",
    "a{2}{3}",
    "{",
    "a{",
    "a{x}",
    "}",
    "]",
    "\\",
    "\\1",
    "(a)\\1",
    "\\k<a>",
    "(?=a)",
    "(?!a)",
    "(?<=a)",
    "(?<n>a)",
    "(?i:a)",
    "\\q",
    "\\x1",
    "\\u12",
    "\\u{110000}",
    "[b-a]",
    "a{3,2}",
    "a{5000}",
    "^*",
    "(((a{1000}){1000}){1000}){1000}",
    "(".repeat(50) + ")".repeat(50),
    "a".repeat(1001),
    "[\\d-z]",
  ];
  for (const pattern of broken) {
    const fault = patternFault(pattern);
    assert(fault !== undefined && fault.suggestion.length > 0, pattern.slice(0, 40));
  }
});

Deno.test("`patternFault()` never throws", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => void patternFault(text)), {
    numRuns: 500,
    seed: 1,
  });
});
