import { assertEquals, assertRejects } from "@std/assert";
import { loadEmbedded } from "../../vmm/load.ts";
import { canary, codeJob } from "../canary.ts";
import { Threads } from "./threads.ts";

/** `jmp $` */
const ENDLESS = Uint8Array.of(0xeb, 0xfe);
const MOST = Number.MAX_SAFE_INTEGER;
const endless = () =>
  codeJob("real16", ENDLESS, { limits: { wallMs: 120_000, instructions: MOST, time: MOST } });

Deno.test("a back end in a thread gives the trace that it gives here, and goes on after it", async () => {
  const subject = new Threads().subject("full-hw");
  const local = await loadEmbedded("full-hw");
  for (const entry of ["real16", "long64"] as const) {
    const { wallNs: _, ...there } = await subject.run(canary(entry));
    const { wallNs: __, ...here } = local.run(canary(entry));
    assertEquals(there, here);
  }
  await subject.close?.();
  // It may be used again.
  assertEquals((await subject.run(canary("real16"))).end.kind, "shutdown");
  await subject.close?.();
});

Deno.test("a guest that computes keeps nobody waiting, and is ended by closing", async () => {
  const threads = new Threads();
  const [hw, native] = [threads.subject("full-hw"), threads.subject("native")];
  const long = assertRejects(() => Promise.resolve(hw.run(endless())), Error, "The run was ended");
  assertEquals((await native.run(canary("real16"))).end.kind, "shutdown");
  await hw.close?.();
  await long;
});
