import { assertEquals, assertStrictEquals } from "@std/assert";
import { BACKENDS, ENGINES, whyAbsent } from "../base/backend.ts";
import { Subjects } from "./subjects.ts";

Deno.test("a subject is the same one each time it is asked for", async () => {
  const subjects = new Subjects();
  const id = { backend: "para", engine: "embedded" } as const;
  const [first, second] = [await subjects.find(id), await subjects.find(id)];
  assertStrictEquals("subject" in first && first.subject, "subject" in second && second.subject);
  await subjects.close();
});

Deno.test("a pair that does not exist says why, on every engine", async () => {
  const subjects = new Subjects();
  for (const engine of ENGINES) {
    for (const backend of BACKENDS) {
      const why = whyAbsent({ backend, engine });
      if (why !== undefined) {
        assertEquals(await subjects.inspect({ backend, engine }), { absent: why });
      }
    }
  }
  await subjects.close();
});

Deno.test("without a command there is no external subject", async () => {
  const subjects = new Subjects();
  assertEquals(await subjects.find({ backend: "full-hw", engine: "external" }), {
    absent: "no VMM of your own is named; --vmm does that",
  });
  await subjects.close();
});

Deno.test("a program that is not there is told as the reason", async () => {
  const subjects = new Subjects({ vmm: ["/nowhere/vmm"] });
  assertEquals(await subjects.find({ backend: "full-hw", engine: "external" }), {
    absent: "the VMM can't be used: there is no program /nowhere/vmm",
  });
  await subjects.close();
});

Deno.test("close() ends what is only being tried", async () => {
  const subjects = new Subjects();
  void subjects.expect([{ backend: "full-hw", engine: "kvm" }, {
    backend: "full-bt",
    engine: "qemu",
  }]);
  // The sanitizers of Deno.test see what is left.
  await subjects.close();
});
