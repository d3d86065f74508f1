// Back ends and subjects as they are asked for: each back end is a good part of the program, and few runs need all.
import type { Backend } from "../base/backend.ts";
import type { BackendDefinition } from "./monitor.ts";
import type { LocalSubject } from "./subject.ts";

const LOADERS: Readonly<Record<Backend, () => Promise<BackendDefinition>>> = {
  "native": async () => (await import("./native.ts")).native,
  "full-bt": async () => (await import("./full_bt.ts")).fullBt,
  "full-hw": async () => (await import("./full_hw.ts")).fullHw,
  "full-hw/shadow": async () => (await import("./full_hw.ts")).fullHwShadow,
  "para": async () => (await import("./para/para.ts")).para,
  "hybrid": async () => (await import("./hybrid/hybrid.ts")).hybrid,
};

/** The code of a back end. */
export function loadBackend(backend: Backend): Promise<BackendDefinition> {
  return LOADERS[backend]();
}

/** The back end on the embedded engine. */
export async function loadEmbedded(backend: Backend): Promise<LocalSubject> {
  const [definition, { embedded }, { monitorSubject }] = await Promise.all([
    loadBackend(backend),
    import("../engine/embedded/engine.ts"),
    import("./subject.ts"),
  ]);
  return monitorSubject({ backend, engine: "embedded" }, definition, embedded);
}
