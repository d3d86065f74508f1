// The default engine: an x86-64 CPU that translates guest code to WebAssembly and needs nothing but a JavaScript runtime.
import type { VcpuFactory } from "../vcpu.ts";
import { Seats } from "./seats.ts";
import { EmbeddedVcpu } from "./vcpu.ts";

/** Makes virtual CPUs of the embedded engine: deterministic, with exact exits and every control. */
export const embedded: VcpuFactory = {
  create: (config) => new EmbeddedVcpu(config),
  createAll: (configs) => {
    const [first] = configs;
    return configs.length === 1 && first ? [new EmbeddedVcpu(first)] : new Seats(configs).vcpus;
  },
};
