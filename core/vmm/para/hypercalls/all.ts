// Every hypercall there is.
import { consoleHypercalls } from "./console.ts";
import { debugHypercalls } from "./debug.ts";
import { eventHypercalls } from "./events.ts";
import { machineHypercalls } from "./machine.ts";
import { mmuHypercalls } from "./mmu.ts";
import { multicallHypercalls } from "./multicall.ts";
import { schedHypercalls } from "./sched.ts";
import { segmentHypercalls } from "./segments.ts";
import { HypercallTable } from "./table.ts";
import { timeHypercalls } from "./time.ts";
import { trapHypercalls } from "./traps.ts";

const GROUPS = [
  consoleHypercalls,
  debugHypercalls,
  eventHypercalls,
  machineHypercalls,
  mmuHypercalls,
  multicallHypercalls,
  schedHypercalls,
  segmentHypercalls,
  timeHypercalls,
  trapHypercalls,
];

/** The table, filled. */
export function hypercallTable(): HypercallTable {
  const table = new HypercallTable();
  for (const register of GROUPS) register(table);
  return table;
}
