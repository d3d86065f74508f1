import { assert, assertEquals } from "@std/assert";
import { type Filter, filterGroups, parseShard } from "./filter.ts";
import { GOOD, load, planned } from "./testdata/load.ts";

const GROUPS = GOOD.flatMap((name) =>
  planned(load(name)).map((group) => ({
    ...group,
    id: group.id.replace("test", name),
    cases: group.cases.map((each) => ({ ...each, id: each.id.replace("test", name) })),
  }))
);

const ids = (filter: Filter) => filterGroups(GROUPS, filter).map(({ id }) => id);

Deno.test("`filterGroups()` picks by tag", () => {
  assertEquals(ids({}), GROUPS.map(({ id }) => id));
  assertEquals(ids({ tags: ["virtio"] }), ["hostile_ring", "sectors"]);
  assertEquals(ids({ tags: ["virtio", "timer"] }), ["hostile_ring", "sectors", "ticks"]);
  assertEquals(ids({ tags: ["virtio", "!hostile"] }), ["sectors"]);
  assertEquals(ids({ tags: ["!virtio"] }).length, GROUPS.length - 2);
  assertEquals(ids({ tags: ["nothing"] }), []);
});

Deno.test("`filterGroups()` picks groups, or cases, by name", () => {
  assertEquals(ids({ grep: "GREET" }), ["greeting[length=5]", "greeting[length=64]"]);
  assertEquals(ids({ grep: "greeting[length=64]" }), ["greeting[length=64]"]);
  assertEquals(ids({ grep: "^(ticks|sect.*)$" }), ["sectors", "ticks"]);
  assertEquals(ids({ grep: "[" }), [
    "greeting[length=5]",
    "greeting[length=64]",
    "page_table[pages=1]",
    "page_table[pages=16]",
  ]);
  const [group] = filterGroups(GROUPS, { grep: "ticks@para" });
  assertEquals(group?.cases.map(({ id }) => id), ["ticks@para+embedded"]);
});

Deno.test("`filterGroups()` gives every group to exactly one shard", () => {
  for (const count of [1, 2, 3, 7]) {
    const shards = Array.from({ length: count }, (_, i) => ids({ shard: { index: i + 1, count } }));
    assertEquals(shards.flat().toSorted(), GROUPS.map(({ id }) => id).toSorted());
    if (count === 2) assert(shards.every((shard) => shard.length > 0));
  }
});

Deno.test("`filterGroups()` puts a group into the same shard for ever", () => {
  assertEquals(ids({ shard: { index: 1, count: 3 } }), SHARD_1_OF_3);
});

/** As computed when sharding was introduced. */
const SHARD_1_OF_3 = ["greeting[length=5]", "port_output", "sectors", "signature"];

Deno.test("`parseShard()` reads i/n", () => {
  assertEquals(parseShard("2/5"), { index: 2, count: 5 });
  for (const text of ["0/5", "6/5", "1", "a/b", "1/0", "-1/2", ""]) {
    assertEquals(parseShard(text), undefined);
  }
});
