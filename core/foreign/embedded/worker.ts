// A thread that runs cases on the embedded engine, one after the other. Needs read permission alone.
/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
import { SubjectLacks } from "../../engine/lacks.ts";
import { loadEmbedded } from "../../vmm/load.ts";
import type { Answer, Work } from "./threads.ts";

self.onmessage = async ({ data }: MessageEvent<Work>) => {
  self.postMessage(await answer(data));
};

async function answer({ backend, job }: Work): Promise<Answer> {
  try {
    return { trace: (await loadEmbedded(backend)).run(job) };
  } catch (error) {
    if (error instanceof SubjectLacks) return { lacks: error.message };
    return { defect: error instanceof Error ? error.message : String(error) };
  }
}
