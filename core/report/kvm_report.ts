// What was found out about this host's KVM beside costs: its options compared, and what its counters stand for. For people.
import type { StatisticsReport } from "../bench/kvm_statistics.ts";
import type { OptionReport } from "../bench/options.ts";
import { STATISTIC_KINDS } from "../engine/kvm/statistic_kinds.ts";
import { describeHost } from "./cost_report.ts";
import { left, right } from "./columns.ts";

const OPTION_WIDTH = 50, NAME_WIDTH = 32, COUNTER_WIDTH = 22;

/** The same loop under each option: exits to user space, nanoseconds, and the ratio to the first. */
export function optionTable({ host, results }: OptionReport): string {
  const lines = [
    describeHost(host),
    "",
    left("", OPTION_WIDTH) + right("exits", 6) + right("ns", 8) + right("ratio", 7) +
    "  95 % interval of the ratio",
  ];
  let operation = "";
  for (const { loop, ns, ratio, exits, not } of results) {
    if (loop.operation !== operation) lines.push(operation = loop.operation);
    const figures = ns && ratio && exits !== undefined
      ? right(exits.toFixed(1), 6) + right(ns.median.toFixed(0), 8) +
        right(ratio.median.toFixed(2), 7) + `  ${ratio.low.toFixed(2)} to ${ratio.high.toFixed(2)}`
      : right("–", 6);
    lines.push(left(`  ${loop.option}`, OPTION_WIDTH) + figures);
    if (not) lines.push(`      ${not}`);
  }
  lines.push("exits: to user space, an operation. ratio: over the operation's first option.");
  return lines.join("\n") + "\n";
}

/** Which counters stand for which exits, and which of them moved under which loop here. */
export function statisticsTable({ host, results }: StatisticsReport): string {
  const lines = [
    describeHost(host),
    "KVM's own counters are coarse: they tell how many, not where, and differ between hosts.",
    "",
    left("counter", COUNTER_WIDTH) + "stands for",
  ];
  for (const [name, { kinds, what }] of Object.entries(STATISTIC_KINDS)) {
    const stands = kinds.length > 0 ? `${kinds.join(", ")}: ` : "";
    lines.push(left(name, COUNTER_WIDTH) + stands + what);
  }
  lines.push("", left("loop", NAME_WIDTH) + "counters that moved here, an iteration");
  for (const { loop, moved, not } of results) {
    const counters = Object.entries(moved).map(([name, each]) => `${name} ${each.toFixed(1)}`);
    lines.push(left(loop.name, NAME_WIDTH) + (not ?? (counters.join(", ") || "none")));
  }
  return lines.join("\n") + "\n";
}
