// multicall: several hypercalls for the price of one exit.
import { type Outcome, RESUME } from "../../monitor.ts";
import { HYPERCALL } from "../abi.ts";
import { invalid } from "../refused.ts";
import { type Group, result, u32, u64 } from "./table.ts";

/** struct multicall_entry (xen.h): op, result, args[6]. */
const ENTRY = { op: 0, result: 8, args: 16, size: 64 } as const;
const ARGUMENTS = 5;
/** Entries one hypercall may carry. */
const MAX_ENTRIES = 16384;
/** These take or replace the registers of the caller, and there is only one caller. */
const NOT_BATCHED: ReadonlySet<bigint> = new Set([
  BigInt(HYPERCALL.multicall),
  BigInt(HYPERCALL.iret),
]);

export const multicallHypercalls: Group = (table) => {
  table.register("multicall", 2, (domain, args) => {
    const [list, count] = [u64(args, 0), u32(args, 1)];
    if (count > MAX_ENTRIES) throw invalid();
    let outcome: Outcome = RESUME;
    for (let i = 0; i < count; i++) {
      const at = list + BigInt(i * ENTRY.size);
      const entry = domain.pointers.view(at, ENTRY.size);
      const op = entry.getBigUint64(ENTRY.op, true);
      if (NOT_BATCHED.has(op)) throw invalid();
      const callArgs = Array.from(
        { length: ARGUMENTS },
        (_, n) => entry.getBigUint64(ENTRY.args + 8 * n, true),
      );
      const reply = table.call(domain, op, callArgs);
      if (reply.outcome.do === "stop") return reply;
      if (reply.outcome.do === "idle") outcome = reply.outcome;
      domain.pointers.writeU64(at + BigInt(ENTRY.result), BigInt.asUintN(64, reply.result ?? 0n));
    }
    return { ...result(), outcome };
  });
};
