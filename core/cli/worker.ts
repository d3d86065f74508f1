// One of the workers of `--jobs`: runs whole groups as it is handed them. Needs read permission alone, as the main thread.
/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
import type { FromWorker, ToWorker } from "./pool.ts";
import { runGroup } from "../judge/run_group.ts";
import { filesFor } from "./project.ts";

self.onmessage = async ({ data }: MessageEvent<ToWorker>) => {
  const { index, group, profile, ledger } = data;
  const answer = (message: FromWorker) => self.postMessage(message);
  const result = await runGroup(group, {
    profile,
    ledger,
    filesFor,
    onCase: (id) => answer({ type: "case", id }),
  });
  answer({ type: "result", index, result });
};
