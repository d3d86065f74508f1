import { assertEquals } from "@std/assert";
import { listNames } from "./names.ts";

const ROWS: readonly [names: readonly string[], text: string][] = [
  [["native"], "native"],
  [["native", "para", "hybrid"], "native, para, hybrid"],
  [["full-hw@kvm", "hybrid@kvm"], "full-hw@kvm, hybrid@kvm"],
  [
    ["native@embedded", "full-hw@embedded", "full-hw@kvm"],
    "native, full-hw @embedded; full-hw @kvm",
  ],
];

for (const [names, text] of ROWS) {
  Deno.test(`listNames() says ${text}`, () => assertEquals(listNames(names), text));
}
