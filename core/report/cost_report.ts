// What was measured, as a table for people and as a cost profile that `--profile` takes. Plain text from plain values.
import { left, right } from "./columns.ts";
import { NOT_MEASURED } from "../bench/cost_loops.ts";
import type { CostReport, CostResult, MeasuredHost } from "../bench/costs.ts";
import type { Estimate } from "../bench/statistics.ts";

/** What a profile needs to know beyond the figures. */
export interface ProfileOptions {
  /** As `inherits` of others would name it. */
  readonly name: string;
  /** As in 2026-11-22. */
  readonly date: string;
}

const NAME_WIDTH = 32, FIGURE_WIDTH = 10;
/** Where a measured profile takes what it has no figure for. */
const INHERITED = "kvm-2017";

const TECHNIQUES: Readonly<Record<string, string>> = {
  vmx: "KVM on VT-x",
  svm: "KVM on AMD-V",
  pvm: "PVM, KVM in software",
  "svm-tcg": "KVM on an AMD-V that QEMU emulates (its time is the emulator's)",
};

/** `AMD EPYC (family 26, model 2), Linux 6.18.44, KVM on AMD-V`. */
export function describeHost(
  { cpu, release, technique }: Pick<MeasuredHost, "cpu" | "release" | "technique">,
): string {
  return `${cpu}, Linux ${release}, ${TECHNIQUES[technique] ?? "KVM"}`;
}

/** Whole cycles of the host's time stamp counter; nanoseconds where nobody knows its frequency. */
function cycles(ns: number, { cyclesPerNs }: MeasuredHost): number {
  return Math.max(0, Math.round(ns * (cyclesPerNs || 1)));
}

/** For people: nanoseconds, cycles, the interval, and what to make of it. */
export function costTable({ host, results }: CostReport): string {
  const lines = [
    describeHost(host),
    host.cyclesPerNs
      ? `a cycle is one of the host's time stamp counter, ${
        host.cyclesPerNs.toFixed(3)
      } a nanosecond`
      : "KVM does not tell the time stamp counter's frequency: cycles are nanoseconds",
    "",
    left("", NAME_WIDTH) + right("ns", FIGURE_WIDTH) + right("cycles", FIGURE_WIDTH) +
    "  95 % interval, ns (samples)",
  ];
  for (const { loop, ns, not } of results) {
    const figures = ns
      ? right(ns.median.toFixed(0), FIGURE_WIDTH) +
        right(String(cycles(ns.median, host)), FIGURE_WIDTH) +
        `  ${ns.low.toFixed(0)} to ${ns.high.toFixed(0)} (${ns.count})`
      : right("–", FIGURE_WIDTH);
    lines.push(left(loop.name, NAME_WIDTH) + figures);
    if (not) lines.push(`    ${not}`);
  }
  return lines.join("\n") + "\n";
}

/** The profile, a YAML file. What has no figure is a comment that says why. */
export function costProfileText(report: CostReport, { name, date }: ProfileOptions): string {
  const { host } = report;
  const machine = describeHost(host);
  const lines = [
    "# Written by `trivisor costs measure`; measure again rather than edit.",
    `name: ${JSON.stringify(name)}`,
    `machine: ${JSON.stringify(machine)}`,
    "why: >",
    `  What exits cost on this host's KVM, measured from Deno with loops of guest code on ${date}. Cycles are those of the host's`,
    `  time stamp counter${
      host.cyclesPerNs ? `, ${host.cyclesPerNs.toFixed(3)} a nanosecond` : ""
    }.`,
    `inherits: [${INHERITED}]`,
    "exits:",
  ];
  const source = (ns: Estimate) =>
    `measured on ${host.cpu}, kernel ${host.release}, ${date}, ${ns.count} samples, ` +
    `95 % interval ${cycles(ns.low, host)} to ${cycles(ns.high, host)}`;
  const done = new Set<string>();
  for (const { loop, ns, not } of report.results) {
    if (!ns || not) continue;
    for (const kind of loop.keys) {
      const key = kind ? `vm-exit/${kind}` : "vm-exit";
      if (done.has(key)) continue;
      done.add(key);
      const how = [loop.name, `${ns.median.toFixed(0)} ns`, loop.how].filter((part) => part);
      lines.push(
        `  ${key}:`,
        `    value: ${cycles(ns.median, host)}`,
        `    source: ${JSON.stringify(source(ns))}`,
        `    how: ${JSON.stringify(how.join("; "))}`,
      );
    }
  }
  if (done.size === 0) lines[lines.length - 1] = "exits: {}";
  lines.push(...comments(report.results, done, host));
  return lines.join("\n") + "\n";
}

/** What is not in the profile, and what has no place in one. */
function comments(
  results: readonly CostResult[],
  done: ReadonlySet<string>,
  host: MeasuredHost,
): string[] {
  const absent = new Map(Object.entries(NOT_MEASURED));
  for (const { loop, not } of results) {
    for (const kind of loop.keys) {
      const key = kind ? `vm-exit/${kind}` : "vm-exit";
      if (not && !done.has(key)) absent.set(kind || "every other kind", `${loop.name}: ${not}`);
    }
  }
  const others = results.flatMap(({ loop, ns, not }) =>
    ns && !not && loop.less && loop.keys.every((kind) => !kind)
      ? [`${loop.name}: ${cycles(ns.median, host)} cycles`]
      : []
  );
  return [
    `# Not measured, and taken from ${INHERITED}:`,
    ...[...absent].map(([kind, why]) => `#   ${kind}: ${oneLine(why)}`),
    ...(others.length > 0 ? ["# Measured too; a profile has no place for it:"] : []),
    ...others.map((text) => `#   ${oneLine(text)}`),
  ];
}

/** No text gets out of its comment. */
function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, " ");
}
