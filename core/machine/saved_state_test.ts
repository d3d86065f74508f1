import { assertEquals, assertThrows } from "@std/assert";
import { restored } from "./saved_state.ts";

const like = { on: false, count: 0, name: "", list: [0, 0], inner: { x: 1 } };

Deno.test("restored() gives back an equal deep copy when the shape fits", () => {
  const state = { on: true, count: 7, name: "abc", list: [1, 2], inner: { x: 3 } };
  const copy = restored(like, JSON.parse(JSON.stringify(state)));
  assertEquals(copy, state);
  state.inner.x = 9;
  assertEquals(copy.inner.x, 3);
});

const BAD: [name: string, change: Record<string, unknown>, message: string][] = [
  ["a wrong type", { on: 1 }, "state.on must be a boolean"],
  ["a fraction", { count: 0.5 }, "state.count must be a number"],
  ["a list of another length", { list: [1] }, "state.list must be a list of 2"],
  ["an unknown field", { extra: 1 }, "unknown extra"],
  ["a wrong inner field", { inner: { x: "1" } }, "state.inner.x must be a number"],
  ["null for an object", { inner: null }, "state.inner must be an object"],
];
for (const [name, change, message] of BAD) {
  Deno.test(`restored() throws TypeError when there is ${name}`, () => {
    assertThrows(() => restored(like, { ...like, ...change }), TypeError, message);
  });
}

Deno.test("restored() throws TypeError when a field is missing", () => {
  assertThrows(() => restored(like, { on: true }), TypeError, "lacks count");
});
