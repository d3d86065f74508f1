// `trivisor trace CASE`: runs one case and prints what happened, with disassembly and the lines of the program.
import { EXIT_CODE, type ExitCode } from "../judge/verdict.ts";
import { type SubjectOptions, Subjects } from "../foreign/subjects.ts";
import { GroupRunner } from "../judge/run_group.ts";
import { Places, sourceLine } from "../judge/place.ts";
import { figuresOf, isExact } from "../judge/metrics.ts";
import { cut, grouped, left, WIDTH, wrap } from "../report/columns.ts";
import { costTable } from "../report/costs.ts";
import { toJson } from "../report/json.ts";
import type { Case, CaseGroup } from "../scenario/case.ts";
import { hexBytes } from "../base/hex.ts";
import { disassemble } from "../trace/disassemble.ts";
import { describeEnd, describeEvent } from "../trace/print.ts";
import type { Hidden, Trace, TraceEvent } from "../trace/trace.ts";
import { Complaint } from "./complaint.ts";
import { findCase } from "./find_case.ts";
import { toStdout } from "./output.ts";
import type { SelectionOptions } from "./prepare.ts";
import { filesFor } from "./project.ts";
import { loadProfile } from "./profile.ts";

export interface TraceOptions extends SelectionOptions {
  readonly json?: boolean;
  readonly profile?: string;
  /** What is outside of trivisor. */
  readonly outside?: SubjectOptions;
  /** Events to print at most. */
  readonly limit?: number;
}

/** Events printed unless `--limit` says otherwise. */
const DEFAULT_LIMIT = 1000;

/** Runs the case and prints its trace; a group's id stands for its first case that runs. */
export async function trace(id: string, options: TraceOptions): Promise<ExitCode> {
  const { group, subject } = await findCase(id, options);
  const chosen = subject ?? group.cases.find((c) => c.skip === undefined);
  if (!chosen) throw new Complaint(`No case of ${group.id} runs; \`trivisor explain\` says why`);
  const subjects = new Subjects(options.outside);
  const context = { profile: await loadProfile(options.profile), filesFor, subjects };
  const outcome = await new GroupRunner(group, context).run(chosen)
    .finally(() => subjects.close());
  if ("skipped" in outcome) throw new Complaint(`${chosen.id} is skipped: ${outcome.skipped}`);
  if ("error" in outcome) {
    const { faultOf } = await import("../judge/judge.ts");
    const fault = faultOf(outcome.error);
    throw new Complaint(fault.text, fault.by === "harness" ? EXIT_CODE.harness : EXIT_CODE.usage);
  }
  const places = new Places(outcome.image);
  const limit = options.limit ?? DEFAULT_LIMIT;
  toStdout(
    options.json
      ? traceToJson(chosen, outcome.trace, places, limit)
      : traceToText(group, chosen, outcome.trace, places, limit),
  );
  return EXIT_CODE.ok;
}

function traceToText(
  group: CaseGroup,
  subject: Case,
  trace: Trace,
  places: Places,
  limit: number,
): string {
  const { events, dropped, counts, cycles, end } = trace;
  const more = events.length + dropped - Math.min(limit, events.length);
  const lines = [
    subject.id,
    group.file.name,
    "",
    ` ${left("retired", AT_WIDTH)}what happened once so many instructions had`,
    ...events.slice(0, limit).flatMap((event) => eventLines(event, places)),
    ...(more > 0 ? [`    ${grouped(more)} more; --limit shows them`] : []),
    "",
    `end: ${describeEnd(end)}`,
    ...totals(trace),
    ...(isExact(figuresOf(trace)) ? ["", ...costTable(counts, cycles)] : []),
  ];
  return lines.map((line) => line.trimEnd() + "\n").join("");
}

/** What was counted, as far as the subject shows it, and what its host counted. */
function totals({ counts, unobserved, exitKinds, hidden, coarse = {} }: Trace): string[] {
  const instructions = unobserved.includes("instructions")
    ? "instructions are not counted here"
    : `${grouped(counts.instructions)} instructions`;
  const exits = unobserved.includes("exits")
    ? "exits are not shown"
    : `${grouped(counts.exits.total)} exits`;
  const statistics = Object.entries(coarse).filter(([, count]) => count !== 0);
  return [
    `${instructions}, ${exits}`,
    ...(exitKinds
      ? wrap(`of these kinds, which are all that it shows: ${exitKinds.join(", ")}`, WIDTH)
      : []),
    ...hiddenLines(hidden),
    ...(statistics.length > 0 ? ["", "coarse, counted by the host's KVM"] : []),
    ...statistics.map(([name, count]) => `  ${left(name, COARSE_WIDTH)}${grouped(count)}`),
  ];
}

/** What is left out between what is shown. */
function hiddenLines({ devices = [], injections = [], accesses = [] }: Partial<Hidden> = {}) {
  const names = [...new Set(devices.map(({ device }) => device))];
  const parts = [
    ...(names.length > 0 ? [`what reaches ${names.join(", ")}`] : []),
    ...injections.map((kind) => `injections by ${kind}`),
    ...accesses.map((kind) => `some by ${kind}`),
  ];
  return parts.length > 0 ? wrap(`below the VMM, and not shown: ${parts.join("; ")}`, WIDTH) : [];
}

/** Width of the names of KVM's statistics. */
const COARSE_WIDTH = 32;

/** Width of the column of retired instructions, and of the one that says how an exit came or what else it is. */
const AT_WIDTH = 9;
const KIND_WIDTH = 11;

/** An exit has its place and instruction on the second line, and the line of the program on the third. */
function eventLines(event: TraceEvent, places: Places): string[] {
  const cpu = event.cpu === undefined ? "" : `cpu ${event.cpu}  `;
  const at = ` ${left(grouped(event.at), AT_WIDTH)}${cpu}`;
  if (event.type !== "exit") {
    const label = event.type === "console" ? "" : left(event.type, KIND_WIDTH - 2);
    return [`${at}  ${label}${describeEvent(event)}`];
  }
  const { via, rip, bytes, bitness } = event.exit;
  const span = places.line(rip);
  const place = places.label(rip) ?? `0x${rip.toString(16)}`;
  const source = span ? sourceLine(span) : undefined;
  const indent = " ".repeat(1 + AT_WIDTH + KIND_WIDTH + cpu.length);
  const line = source ? `${source.at.replace(/:\d+$/, "")}:  ${source.text}` : undefined;
  return [
    `${at}${left(via, KIND_WIDTH)}${describeEvent(event)}`,
    indent + (bytes.length > 0 ? `${place}:  ${disassemble(bytes, bitness, rip)}` : place),
    ...(line ? [cut(indent + line, WIDTH)] : []),
  ];
}

function traceToJson(subject: Case, trace: Trace, places: Places, limit: number): string {
  const { events, dropped, counts, cycles, console, end, final, unobserved } = trace;
  const { exitKinds = null, hidden = null, coarse = null } = trace;
  return toJson({
    version: 1,
    id: subject.id,
    events: events.slice(0, limit).map((event) => eventToJson(event, places)),
    omitted: dropped + Math.max(0, events.length - limit),
    counts,
    cycles,
    console: hexBytes(console),
    end,
    registers: final.registers,
    memory: Object.fromEntries(Object.entries(final.memory).map(([k, v]) => [k, hexBytes(v)])),
    unobserved,
    exitKinds,
    hidden,
    coarse,
  }) + "\n";
}

function eventToJson(event: TraceEvent, places: Places): unknown {
  const { at, cpu, type } = event;
  const shared = { at, ...(cpu === undefined ? {} : { cpu }), type };
  switch (event.type) {
    case "exit": {
      const { bytes, bitness, rip } = event.exit;
      const span = places.line(rip);
      return {
        ...shared,
        ...event.exit,
        bytes: hexBytes(bytes),
        instruction: disassemble(bytes, bitness, rip),
        place: places.label(rip) ?? null,
        source: span ? sourceLine(span) : null,
      };
    }
    case "console":
      return { ...shared, bytes: hexBytes(event.bytes) };
    case "access":
      return { ...shared, ...event.access };
    case "injection":
      return { ...shared, ...event.injection };
    default:
      return event satisfies never;
  }
}
