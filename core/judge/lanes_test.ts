import { assertEquals } from "@std/assert";
import type { SubjectId } from "../base/backend.ts";
import { Lanes } from "./lanes.ts";

const EMBEDDED: SubjectId = { backend: "para", engine: "embedded" };
const TCG: SubjectId = { backend: "full-bt", engine: "qemu" };
const KVM: SubjectId = { backend: "para", engine: "kvm" };
const QEMU_KVM: SubjectId = { backend: "full-hw", engine: "qemu" };

const turn = () => new Promise((resolve) => setTimeout(resolve, 0));

/** What runs at each time, when each piece of work takes one turn. */
async function together(lanes: Lanes, ids: readonly SubjectId[]): Promise<string[]> {
  const now: string[] = [], seen: string[] = [];
  await Promise.all(ids.map((id, n) =>
    lanes.run(id, async () => {
      now.push(`${id.engine}${n}`);
      await turn();
      seen.push(now.join(" "));
      now.splice(now.indexOf(`${id.engine}${n}`), 1);
    })
  ));
  return seen;
}

Deno.test("Lanes let one go by the host's clock at a time, beside as many others as are allowed", async () => {
  const ids = [KVM, EMBEDDED, QEMU_KVM, TCG, EMBEDDED, KVM];
  assertEquals(
    await together(new Lanes({ virtual: 1 }), ids),
    [
      "kvm0 embedded1",
      "embedded1 qemu2",
      "qemu2 qemu3",
      "qemu3 kvm5",
      "kvm5 embedded4",
      "embedded4",
    ],
  );
  const wide = await together(new Lanes({ virtual: 3 }), ids);
  assertEquals(wide[0], "kvm0 embedded1 qemu3 embedded4");
});

Deno.test("Lanes serve the next one when one fails", async () => {
  const lanes = new Lanes({ virtual: 1 });
  const failed = lanes.run(KVM, () => Promise.reject(new Error("oops"))).catch((e) => e.message);
  assertEquals(await Promise.all([failed, lanes.run(KVM, () => Promise.resolve(2))]), ["oops", 2]);
});

Deno.test("closed Lanes end what has begun, and begin nothing", async () => {
  const lanes = new Lanes({ virtual: 1 });
  const begun = lanes.run(EMBEDDED, async () => (await turn(), 1));
  const waiting = lanes.run(EMBEDDED, () => Promise.resolve(2));
  lanes.close();
  assertEquals(await Promise.all([begun, waiting]), [1, undefined]);
  assertEquals(await lanes.run(KVM, () => Promise.resolve(3)), undefined);
});
