import { assert, assertEquals } from "@std/assert";
import type { BytesMatcher, ValueMatcher } from "../scenario/case.ts";
import {
  type Bindings,
  describeBytesMatcher,
  describeValueMatcher,
  matchBytes,
  matchValue,
  showBytes,
  type Value,
} from "./match.ts";

const literal = (value: bigint | string | boolean): ValueMatcher => ({ is: "literal", value });
const range = (atLeast?: bigint, atMost?: bigint): ValueMatcher => ({
  is: "range",
  ...(atLeast === undefined ? {} : { atLeast }),
  ...(atMost === undefined ? {} : { atMost }),
});

const VALUES: readonly (readonly [ValueMatcher, Value | undefined, boolean])[] = [
  [literal(5n), 5n, true],
  [literal(5n), 6n, false],
  [literal(-1n), 0xffff_ffff_ffff_ffffn, true],
  [literal("in"), "in", true],
  [literal("in"), "out", false],
  [literal(true), true, true],
  [literal(1n), "1", false],
  [literal(1n), undefined, false],
  [range(2n, 4n), 2n, true],
  [range(2n, 4n), 4n, true],
  [range(2n, 4n), 1n, false],
  [range(2n, 4n), 5n, false],
  [range(2n), 1n << 63n, true],
  [range(undefined, 3n), 0n, true],
  [range(), "text", false],
  [{ is: "one-of", values: [literal(1n), literal(3n)] }, 3n, true],
  [{ is: "one-of", values: [literal(1n), literal(3n)] }, 2n, false],
  [{ is: "not", matcher: literal(1n) }, 2n, true],
  [{ is: "not", matcher: literal(1n) }, 1n, false],
  [{ is: "not", matcher: literal(1n) }, undefined, true],
  [{ is: "any" }, undefined, true],
];

for (const [matcher, value, expected] of VALUES) {
  Deno.test(`matchValue() is ${expected} when ${describeValueMatcher(matcher)} meets ${value}`, () => {
    assertEquals(matchValue(matcher, value, new Map()), expected);
  });
}

Deno.test("matchValue() binds a name at the first match and compares after it", () => {
  const bindings: Bindings = new Map();
  const name: ValueMatcher = { is: "bound", name: "x" };
  assert(matchValue(name, 7n, bindings));
  assert(matchValue(name, 7n, bindings));
  assert(!matchValue(name, 8n, bindings));
  assertEquals(bindings.get("x"), 7n);
});

Deno.test("matchValue() binds nothing when the name stands under `not`", () => {
  const bindings: Bindings = new Map();
  matchValue({ is: "not", matcher: { is: "bound", name: "x" } }, 1n, bindings);
  assertEquals(bindings.size, 0);
});

const bytes = (text: string) => new TextEncoder().encode(text);
const BYTES: readonly (readonly [BytesMatcher, string, boolean])[] = [
  [{ is: "equal", bytes: bytes("abc") }, "abc", true],
  [{ is: "equal", bytes: bytes("abc") }, "abcd", false],
  [{ is: "equal", bytes: bytes("") }, "", true],
  [{ is: "starts-with", bytes: bytes("ab") }, "abc", true],
  [{ is: "starts-with", bytes: bytes("abc") }, "ab", false],
  [{ is: "contains", bytes: bytes("aab") }, "aaab", true],
  [{ is: "contains", bytes: bytes("abab") }, "abaabab", true],
  [{ is: "contains", bytes: bytes("abc") }, "ababab", false],
  [{ is: "contains", bytes: bytes("") }, "", true],
  [{ is: "matches", pattern: "^x+$" }, "xxx", true],
  [{ is: "matches", pattern: "^x+$" }, "xyx", false],
  [{ is: "length", length: literal(3n) }, "abc", true],
  [{ is: "length", length: literal(3n) }, "ab", false],
  [{ is: "integer", value: literal(0x4241n) }, "AB", true],
  [{ is: "integer", value: literal(0x4142n) }, "AB", false],
  [{ is: "all-of", matchers: [{ is: "any" }, { is: "length", length: literal(1n) }] }, "a", true],
  [{ is: "all-of", matchers: [{ is: "any" }, { is: "length", length: literal(1n) }] }, "ab", false],
  [{ is: "not", matcher: { is: "contains", bytes: bytes("KVM") } }, "Xen", true],
  [{ is: "not", matcher: { is: "contains", bytes: bytes("KVM") } }, "KVMKVM", false],
];

for (const [matcher, text, expected] of BYTES) {
  const wanted = describeBytesMatcher(matcher);
  Deno.test(`matchBytes() is ${expected} when ${wanted} meets ${JSON.stringify(text)}`, () => {
    assertEquals(matchBytes(matcher, bytes(text), new Map()), expected);
  });
}

Deno.test("matchBytes() is quick when a long needle nearly occurs all over a long console", () => {
  const hay = new Uint8Array(1 << 20).fill(0x61);
  const needle = new Uint8Array(1 << 16).fill(0x61);
  needle[needle.length - 1] = 0x62;
  const start = performance.now();
  assert(!matchBytes({ is: "contains", bytes: needle }, hay, new Map()));
  assert(performance.now() - start < 2000);
});

Deno.test("showBytes() quotes text, writes other bytes in hexadecimal and shortens both", () => {
  assertEquals(showBytes(bytes("hi\n")), '"hi\\n"');
  assertEquals(showBytes(Uint8Array.of(0x80, 0xff)), "80 ff");
  assertEquals(showBytes(bytes("abcdef"), 2), '"ab"... (6 bytes)');
});

Deno.test("describeValueMatcher() says what a name is bound to", () => {
  const matcher = { is: "bound", name: "p" } as const;
  assertEquals(describeValueMatcher(matcher), "$p");
  const bound = new Map([["p", 0x3f8n]]);
  assertEquals(describeValueMatcher(matcher, "hex", bound), "$p (0x3f8)");
  assertEquals(describeValueMatcher(matcher, "both", bound), "$p (0x3f8)");
  assertEquals(describeValueMatcher(matcher, "decimal", bound), "$p (1016)");
});
