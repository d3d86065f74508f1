// The thread that runs guests on KVM: while one runs, it does nothing else, and whoever judges stays free to stop it.
/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
import { closeKvm, kvmSystem, kvmWith } from "../../engine/kvm/engine.ts";
import { CpuLost } from "../../engine/kvm/crew.ts";
import { Holdings } from "../../engine/kvm/holdings.ts";
import { hostOf } from "../../engine/kvm/host.ts";
import { Orders } from "../../engine/kvm/orders.ts";
import { KvmUnavailable } from "../../engine/kvm/system.ts";
import { SubjectLacks } from "../../engine/lacks.ts";
import { loadBackend } from "../../vmm/load.ts";
import { runCase } from "../../vmm/runner.ts";
import type { FromWorker, Request } from "./messages.ts";

self.onmessage = async ({ data }: MessageEvent<Request>) => {
  self.postMessage(await answer(data));
  if (data.type === "close") self.close();
};

self.postMessage({ type: "ready" } satisfies FromWorker);

async function answer(message: Request): Promise<FromWorker> {
  try {
    if (message.type !== "close") kvmSystem(new Holdings(message.holdings));
    switch (message.type) {
      case "probe":
        return { type: "system", ...hostOf(kvmSystem()) };
      case "run":
        return await run(message);
      case "close":
        closeKvm();
        return { type: "closed" };
    }
  } catch (error) {
    // This thread has to be ended, for what it holds to be given back.
    if (error instanceof CpuLost) throw error;
    if (error instanceof KvmUnavailable) return { type: "unavailable", why: error.message };
    if (error instanceof SubjectLacks) return { type: "lacks", why: error.message };
    const message = error instanceof Error ? error.stack ?? error.message : String(error);
    return { type: "defect", message };
  }
}

async function run(message: Extract<Request, { type: "run" }>): Promise<FromWorker> {
  const { backend, job, stop, options, orders } = message;
  const definition = await loadBackend(backend);
  const flag = new Int32Array(stop);
  const holdings = new Holdings(message.holdings);
  const abort = () => Atomics.load(flag, 0) !== 0 || holdings.ending;
  const engine = kvmWith({}, options, orders && new Orders(orders));
  return { type: "trace", trace: runCase({ ...job, backend: definition, engine, abort }) };
}
