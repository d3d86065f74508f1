// The thread that runs guests on KVM: while one runs, it does nothing else, and whoever judges stays free to stop it.
/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
import { closeKvm, kvmSystem, kvmWith } from "../../engine/kvm/engine.ts";
import { Holdings } from "../../engine/kvm/holdings.ts";
import { hostOf } from "../../engine/kvm/host.ts";
import { KvmUnavailable } from "../../engine/kvm/system.ts";
import { SubjectLacks } from "../../engine/lacks.ts";
import { BACKEND_DEFINITIONS } from "../../vmm/backends.ts";
import { runCase } from "../../vmm/runner.ts";
import type { FromWorker, Request } from "./messages.ts";

self.onmessage = ({ data }: MessageEvent<Request>) => {
  self.postMessage(answer(data));
  if (data.type === "close") self.close();
};

self.postMessage({ type: "ready" } satisfies FromWorker);

function answer(message: Request): FromWorker {
  try {
    if (message.type !== "close") kvmSystem(new Holdings(message.holdings));
    switch (message.type) {
      case "probe":
        return { type: "system", ...hostOf(kvmSystem()) };
      case "run":
        return run(message);
      case "close":
        closeKvm();
        return { type: "closed" };
    }
  } catch (error) {
    if (error instanceof KvmUnavailable) return { type: "unavailable", why: error.message };
    if (error instanceof SubjectLacks) return { type: "lacks", why: error.message };
    const message = error instanceof Error ? error.stack ?? error.message : String(error);
    return { type: "defect", message };
  }
}

function run(message: Extract<Request, { type: "run" }>): FromWorker {
  const { backend, job, stop, options } = message;
  const definition = BACKEND_DEFINITIONS.get(backend);
  if (!definition) return { type: "defect", message: `There is no back end ${backend}` };
  const flag = new Int32Array(stop);
  const holdings = new Holdings(message.holdings);
  const abort = () => Atomics.load(flag, 0) !== 0 || holdings.ending;
  const engine = kvmWith({}, options);
  return { type: "trace", trace: runCase({ ...job, backend: definition, engine, abort }) };
}
