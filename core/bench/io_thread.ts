// A thread that serves a device: it waits for notifications, and answers each by an interrupt, while the virtual CPU runs on.
/// <reference lib="deno.worker" />
import { addTo, takeFrom } from "./c_library.ts";

/** What it is told. */
export interface IoThreadOrders {
  /** Event counters, by their descriptors: the first blocks. */
  readonly doorbell: number;
  readonly interrupt: number;
  /** Not zero: it ends at the next notification. */
  readonly over: Int32Array<SharedArrayBuffer>;
}

self.onmessage = ({ data }: MessageEvent<IoThreadOrders>) => {
  self.postMessage("ready");
  for (;;) {
    takeFrom(data.doorbell);
    if (Atomics.load(data.over, 0) !== 0) break;
    addTo(data.interrupt);
  }
  self.postMessage("over");
};
