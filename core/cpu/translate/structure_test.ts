import { assertEquals } from "@std/assert";
import { shapeOf } from "./structure.ts";

Deno.test("shapeOf() finds loops and merges when the graph is reducible", () => {
  // 0 -> 1 -> {2, 3}, 2 -> 4, 3 -> 4, 4 -> {1, 5}
  const shape = shapeOf([[1], [2, 3], [4], [4], [1, 5], []]);
  assertEquals(shape.isLoop, [false, true, false, false, false, false]);
  assertEquals(shape.isMerge, [false, false, false, false, true, false]);
  assertEquals(shape.merges[1], [4]);
  assertEquals(shape.cut.size, 0);
  assertEquals(shape.onlyPredecessor, [undefined, undefined, 1, 1, undefined, 4]);
});

Deno.test("shapeOf() takes a branch whose arms meet at once for a merge", () => {
  assertEquals(shapeOf([[1, 1], []]).isMerge, [false, true]);
});

Deno.test("shapeOf() orders followers so that the outermost block ends at the last", () => {
  // Two merges under one node: 0 -> {1, 2}, 1 -> {2, 3}, 2 -> 3
  const shape = shapeOf([[1, 2], [2, 3], [3], []]);
  const merges = shape.merges[0] ?? [];
  assertEquals(
    merges.map((node) => shape.order[node]),
    merges.map((node) => shape.order[node]).toSorted().reverse(),
  );
  assertEquals(new Set(merges), new Set([2, 3]));
});

Deno.test("shapeOf() cuts an edge when a loop has two entries, until none has", () => {
  // 0 -> {1, 2}, 1 <-> 2: irreducible.
  const shape = shapeOf([[1, 2], [2], [1]]);
  assertEquals(shape.cut.size, 1);
});

Deno.test("shapeOf() leaves out what the entry does not reach", () => {
  const shape = shapeOf([[2], [2], []]);
  assertEquals(shape.order[1], -1);
  assertEquals(shape.onlyPredecessor[2], 0);
});

Deno.test("shapeOf() ends on every small graph, and back edges left lead to loops", () => {
  // All graphs of four nodes with at most two successors each, by a counter.
  const choices: number[][] = [[]];
  for (let a = 0; a < 4; a++) {
    choices.push([a]);
    for (let b = 0; b < 4; b++) choices.push([a, b]);
  }
  const total = choices.length ** 4;
  for (let n = 0; n < total; n += 7) {
    let rest = n;
    const graph = Array.from({ length: 4 }, () => {
      const list = choices[rest % choices.length] ?? [];
      rest = Math.floor(rest / choices.length);
      return list;
    });
    const { order, isLoop, cut } = shapeOf(graph);
    graph.forEach((list, from) => {
      for (const to of list) {
        if (order[from] === -1 || cut.has(from * 4 + to)) continue;
        const isBack = (order[to] ?? 0) <= (order[from] ?? 0);
        if (isBack && !isLoop[to]) {
          throw new Error(`Back edge ${from} -> ${to} of ${JSON.stringify(graph)}`);
        }
      }
    });
  }
});
