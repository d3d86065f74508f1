import { assertEquals } from "@std/assert";
import { planned, problems } from "./testdata/load.ts";

/** The ids of the groups that these parameters make. */
function ids(parameters: string): string[] {
  return planned(`why: x\nguest: { program: "hlt" }\n${parameters}`).map(({ id }) => id);
}

Deno.test("`parameters` make their cross product, in declared order", () => {
  assertEquals(ids(""), ["test"]);
  assertEquals(ids("parameters: { b: [2, 1], a: [x, y] }"), [
    "test[b=2,a=x]",
    "test[b=2,a=y]",
    "test[b=1,a=x]",
    "test[b=1,a=y]",
  ]);
  assertEquals(ids("parameters: { on: [true, false], port: [0x3f8] }"), [
    "test[on=true,port=1016]",
    "test[on=false,port=1016]",
  ]);
  assertEquals(ids('parameters: { s: ["a,b", "c]", plain text] }'), [
    'test[s="a,b"]',
    'test[s="c]"]',
    "test[s=plain text]",
  ]);
});

Deno.test("`matrix` excludes and includes as GitHub Actions does", () => {
  const axes = "parameters: { fruit: [apple, pear], animal: [cat, dog] }\n";
  assertEquals(ids(axes + "matrix: { exclude: [ { fruit: apple, animal: dog } ] }"), [
    "test[fruit=apple,animal=cat]",
    "test[fruit=pear,animal=cat]",
    "test[fruit=pear,animal=dog]",
  ]);
  assertEquals(ids(axes + "matrix: { exclude: [ { fruit: apple } ] }").length, 2);
  // The example of GitHub's documentation.
  const include = `matrix:
  include:
    - color: green
    - { color: pink, animal: cat }
    - { fruit: apple, shape: circle }
    - fruit: banana
    - { fruit: banana, animal: cat }`;
  assertEquals(ids(axes + include), [
    "test[fruit=apple,animal=cat,color=pink,shape=circle]",
    "test[fruit=apple,animal=dog,color=green,shape=circle]",
    "test[fruit=pear,animal=cat,color=pink]",
    "test[fruit=pear,animal=dog,color=green]",
    "test[fruit=banana]",
    "test[fruit=banana,animal=cat]",
  ]);
  assertEquals(ids("matrix: { include: [ { a: 1 }, { a: 2, b: 3 } ] }"), [
    "test[a=1]",
    "test[a=2,b=3]",
  ]);
});

Deno.test("combinations that can't be are reported", () => {
  const head = 'why: x\nguest: { program: "hlt" }\n';
  const many = Array.from({ length: 11 }, (_, i) => `p${i}: [1, 2]`).join(", ");
  const cases: readonly [text: string, ...problems: string[]][] = [
    ["parameters: { a: [1, 1] }", "3:13 The combination [a=1] is there twice"],
    [
      "parameters: { a: [1] }\nmatrix: { exclude: [ { b: 1 } ] }",
      '4:24 Nothing to exclude: "b" is not under `parameters`',
    ],
    [
      "parameters: { a: [1] }\nmatrix: { exclude: [ { a: 1 } ] }",
      "4:20 Every combination of the parameters is excluded",
    ],
    [
      "parameters: { a: [0x20000000000000] }",
      "3:19 A parameter must stay below 2^53 | Write a text, and use it in the program",
    ],
    [
      `parameters: { ${many} }`,
      "3:123 The parameters make more than 1000 combinations | Split the scenario, or leave out values",
    ],
    ["parameters: { a: [] }", "3:18 Expected at least 1 items, found 0"],
    [
      "parameters: { a: 1 }",
      "3:18 Expected a list, found the number 1 | Write [1] for a list of one",
    ],
    [
      "parameters: { a b: [1] }",
      '3:15 Expected a parameter\'s name: letters, digits and _, found "a b"',
    ],
  ];
  for (const [text, ...expected] of cases) assertEquals(problems(head + text), expected, text);
});
