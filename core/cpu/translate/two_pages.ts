// Stores done in more than one part: nothing may be stored before all of it can be.
import type { Translation } from "./translation.ts";
import { type Local, VOID } from "./wasm.ts";

/** Where a store of `bytes` crosses pages, both must let it: what faults is the first byte of the one that does not. */
export function checkBothPages(t: Translation, at: Local, bytes: number): void {
  const { f } = t;
  f.get(at);
  f.i64(0xfff);
  f.op("i64_and");
  f.i64(0x1000 - bytes);
  f.op("i64_gt_u");
  f.open("if", VOID);
  for (const second of [false, true]) {
    f.get(at);
    if (second) {
      f.i64(0xfff);
      f.op("i64_or");
      f.i64(1);
      f.op("i64_add");
      if (t.mode.bits !== 64) t.cutTo(32);
    }
    f.i32(1);
    f.i32(1);
    t.call("read");
    f.op("drop");
    t.bailIfAsked();
  }
  f.end();
}
