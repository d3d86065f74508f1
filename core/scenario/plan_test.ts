import { assertEquals } from "@std/assert";
import type { Engine } from "../base/backend.ts";
import { load, planned } from "./testdata/load.ts";

const HEAD = 'why: x\nguest: { program: "hlt" }\n';
const DEFAULT = ["native", "full-bt", "full-hw", "para", "hybrid"];

Deno.test("`plan()` gives cases names that never change", () => {
  const ids = planned(load("greeting")).flatMap(({ cases }) => cases.map(({ id }) => id));
  assertEquals(
    ids,
    [5, 64].flatMap((length) =>
      DEFAULT.map((backend) => `test[length=${length}]@${backend}+embedded`)
    ),
  );
  assertEquals(planned(HEAD)[0]?.cases[0]?.id, "test@native+embedded");
});

Deno.test("`plan()` adds the back ends that a scenario names, in the order of tables", () => {
  const shadow = ["native", "full-bt", "full-hw", "full-hw/shadow", "para", "hybrid"];
  const cases: readonly [yaml: string, backends: readonly string[]][] = [
    ["", DEFAULT],
    ["per: { full-hw/shadow: {} }", shadow],
    ["compare: [ { metric: exits, order: [para, full-hw/shadow] } ]", shadow],
    ["compare: [ { metric: exits, of: full-hw/shadow, at-most: 2, times: para } ]", shadow],
    ["requires: { backend: [full-hw/shadow] }", shadow],
  ];
  for (const [yaml, backends] of cases) {
    assertEquals(planned(HEAD + yaml)[0]?.cases.map(({ backend }) => backend), backends, yaml);
  }
});

Deno.test("`plan()` takes the user's back ends and engine", () => {
  const [group] = planned(HEAD, { backends: ["hybrid", "full-hw"], engines: ["kvm", "embedded"] });
  assertEquals(group?.cases.map(({ id }) => id), [
    "test@full-hw+embedded",
    "test@hybrid+embedded",
    "test@full-hw+kvm",
    "test@hybrid+kvm",
  ]);
});

Deno.test("`plan()` pairs each engine with the back ends that it has", () => {
  const cases: readonly [engine: Engine, backends: readonly string[]][] = [
    ["embedded", [...DEFAULT.slice(0, 3), "full-hw/shadow", ...DEFAULT.slice(3)]],
    ["kvm", ["full-hw", "para", "hybrid"]],
    ["qemu", ["full-bt", "full-hw"]],
    ["external", ["full-hw"]],
  ];
  for (const [engine, backends] of cases) {
    const [group] = planned(HEAD + "per: { full-hw/shadow: {} }", { engines: [engine] });
    assertEquals(group?.cases.map(({ backend }) => backend), backends, engine);
  }
});

Deno.test("`plan()` skips a pair that is asked for and does not exist, and says why", () => {
  const [group] = planned(HEAD, { backends: ["para"], engines: ["qemu"] });
  assertEquals(group?.cases.map(({ skip }) => skip), [
    "there is no para@qemu: QEMU emulates Xen for guests with hardware assistance, not for ported ones",
  ]);
});

Deno.test("`plan()` says why a subject is skipped", () => {
  const skips = (yaml: string, selection = {}) =>
    Object.fromEntries(
      (planned(yaml, selection)[0]?.cases ?? []).flatMap(({ backend, skip }) =>
        skip ? [[backend, skip]] : []
      ),
    );
  assertEquals(skips(HEAD), {});
  const reason = "the scenario requires full-hw or hybrid";
  assertEquals(skips(HEAD + "requires: { backend: [hybrid, full-hw] }"), {
    native: reason,
    "full-bt": reason,
    para: reason,
  });
  assertEquals(
    skips(HEAD + "requires: { backend: [full-hw] }", { backends: ["full-hw/shadow"] }),
    {},
  );
  assertEquals(skips(HEAD + "requires: { engine: [kvm, qemu] }", { backends: ["native"] }), {
    native: "native@embedded: the scenario requires kvm or qemu",
  });
  for (const entry of ["real16", "protected32"]) {
    assertEquals(skips(`why: x\nguest: { program: "hlt", entry: ${entry} }`), {
      para: "para starts guests in long mode",
    });
  }
});

Deno.test("`plan()` hands on what a group needs", () => {
  const [first, second] = planned(load("greeting"));
  assertEquals(first?.parameters, { length: 5 });
  assertEquals(first?.tags, ["console", "smoke"]);
  assertEquals(
    first?.why,
    "The same text costs an exit a byte on a UART, and one request on a paravirtual console.",
  );
  assertEquals([first?.comparisons.length, second?.comparisons.length], [1, 2]);
  assertEquals(second?.guest.program?.text.split("\n")[2], "    mov   ecx, 64");
  // Groups go to workers as messages.
  assertEquals(structuredClone(first), first);
});
