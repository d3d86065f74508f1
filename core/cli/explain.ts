// `trivisor explain CASE`: what a case is, what it expands to, and why it runs or not.
import { EXIT_CODE, type ExitCode } from "../judge/verdict.ts";
import { describeComparison } from "../judge/comparisons.ts";
import { describeBytesMatcher, describeValueMatcher, showValue } from "../judge/match.ts";
import { compilePattern, describePattern } from "../judge/pattern.ts";
import { describeEndMatcher } from "../judge/expectations.ts";
import { grouped, left, WIDTH, wrap } from "../report/columns.ts";
import type { Case, CaseGroup, Expectations, SequenceExpectation } from "../scenario/case.ts";
import { filterGroups } from "../scenario/filter.ts";
import { kebab } from "../trace/print.ts";
import { BACKEND_DESCRIPTIONS } from "../vmm/descriptions.ts";
import { findCase, findScenario } from "./find_case.ts";
import { toStdout } from "./output.ts";
import type { SelectionOptions } from "./prepare.ts";

/** Patterns shown of one expectation. */
const PATTERNS_SHOWN = 12;

/** Prints everything that is known without running it. */
export async function explain(id: string, options: SelectionOptions): Promise<ExitCode> {
  // Found whatever the filters say: whether they select it is part of the answer.
  const { paths, engines } = options;
  const everything = { paths, ...(engines ? { engines } : {}) };
  const groups = await findScenario(id, everything);
  if (groups.length > 1) {
    toStdout(expansion(id, groups, options).map((line) => line.trimEnd() + "\n").join(""));
    return EXIT_CODE.ok;
  }
  const { group, subject } = await findCase(id, everything);
  const lines = [
    ...describeGroup(group),
    "",
    "subjects",
    ...group.cases.map((c) =>
      `  ${left(`${c.backend}+${c.engine}`, 24)}${fate(group, c, options)}`
    ),
    ...(subject
      ? ["", `expected on ${subject.backend}`, ...describeExpectations(subject.expect)]
      : []),
    ...comparisons(group),
    ...(group.guest.program ? ["", "program", ...indent(group.guest.program.text)] : []),
    ...await describeImages(group, subject),
  ];
  toStdout(lines.map((line) => line.trimEnd() + "\n").join(""));
  return EXIT_CODE.ok;
}

/** What a scenario with parameters expands to. */
function expansion(id: string, groups: readonly CaseGroup[], options: SelectionOptions): string[] {
  const [first] = groups;
  return [
    ...(first ? describeGroup({ ...first, id, parameters: {} }) : []),
    "",
    "expands to",
    ...groups.flatMap((group) => {
      const runs = group.cases.filter((c) => fate(group, c, options) === "runs");
      const where = runs.map((c) => c.backend).join(", ");
      return [`  ${group.id}`, `    ${where === "" ? "runs nowhere" : `runs on ${where}`}`];
    }),
    "",
    `\`trivisor explain '${first?.id ?? id}'\` tells more of one.`,
  ];
}

function describeGroup({ id, file, why, tags, parameters, guest, limits }: CaseGroup): string[] {
  const values = Object.entries(parameters).map(([name, value]) => `${name} = ${value}`);
  const row = (name: string, text: string) => `${left(name, 12)}${text}`;
  return [
    id,
    ...wrap(why, WIDTH - 2).map((line) => `  ${line}`),
    "",
    row("file", file.name),
    ...(tags.length > 0 ? [row("tags", tags.join(", "))] : []),
    ...(values.length > 0 ? [row("parameters", values.join(", "))] : []),
    row("entry", guest.entry),
    row("memory", `${grouped(guest.memory)} bytes`),
    ...(guest.cpus ? [row("cpus", String(guest.cpus))] : []),
    ...(guest.seed !== undefined ? [row("seed", String(guest.seed))] : []),
    ...guest.disks.map((disk, n) =>
      row(`disk ${n}`, `${disk.sectors} sectors${disk.readOnly ? ", read-only" : ""}`)
    ),
    row(
      "limits",
      `${grouped(limits.instructions)} instructions, ${grouped(limits.exits)} exits, ` +
        `${limits.time / 1e9} s of virtual time`,
    ),
  ];
}

/** Is it selected, and if not by what? */
function fate(group: CaseGroup, subject: Case, options: SelectionOptions): string {
  if (subject.skip !== undefined) return `skipped: ${subject.skip}`;
  const alone = [{ ...group, cases: [subject] }];
  const { backends, tags, grep, shard } = options;
  if (backends && !backends.includes(subject.backend)) {
    return `not selected: --backend names ${backends.join(", ")}`;
  }
  if (tags && filterGroups(alone, { tags }).length === 0) {
    return `not selected: its tags are ${group.tags.join(", ") || "none"}`;
  }
  if (grep !== undefined && filterGroups(alone, { grep }).length === 0) {
    return `not selected: ${grep} does not match its id`;
  }
  if (shard && filterGroups(alone, { shard }).length === 0) return "not selected: in another shard";
  return "runs";
}

function describeExpectations(expect: Expectations): string[] {
  const { console, end, registers, memory } = expect;
  return [
    ...(console ? [`  console: ${describeBytesMatcher(console.value)}`] : []),
    `  end: ${end ? describeEndMatcher(end.value) : "any but a crash, a limit or a fault"}`,
    ...Object.entries(registers).map(([n, m]) => `  ${n} = ${describeValueMatcher(m.value)}`),
    ...Object.entries(memory).map(([n, m]) => `  [${n}]: ${describeBytesMatcher(m.value)}`),
    ...describeSequence("exits", expect.exits),
    ...describeSequence("accesses", expect.accesses),
    ...describeSequence("injections", expect.injections),
  ];
}

function describeSequence(name: string, expected: SequenceExpectation | undefined): string[] {
  if (!expected) return [];
  return [
    ...(["exactly", "inOrder", "anyOrder", "never"] as const).flatMap((kind) => {
      const patterns = expected[kind]?.value ?? [];
      const more = patterns.length - PATTERNS_SHOWN;
      return patterns.length === 0 && !expected[kind] ? [] : [
        `  ${name}, ${kebab(kind)}:`,
        ...patterns.slice(0, PATTERNS_SHOWN).map((p) =>
          `    ${describePattern(compilePattern(p))}`
        ),
        ...(more > 0 ? [`    ${more} more`] : []),
      ];
    }),
    ...Object.entries(expected.counts ?? {}).map(([kind, m]) =>
      `  ${name}, count of ${kind}: ${describeValueMatcher(m.value, "decimal")}`
    ),
  ];
}

function comparisons({ comparisons }: CaseGroup): string[] {
  if (comparisons.length === 0) return [];
  return ["", "compared", ...comparisons.map((c) => `  ${c.metric}: ${describeComparison(c)}`)];
}

function indent(text: string): string[] {
  return text.trimEnd().split("\n").map((line) => `  ${line}`);
}

/** What the guest is built into, on each platform that its cases need. */
async function describeImages(group: CaseGroup, subject: Case | undefined): Promise<string[]> {
  const { buildFor } = await import("./program_check.ts");
  const cases = (subject ? [subject] : group.cases).filter((c) => c.skip === undefined);
  const platforms = new Set(cases.map((c) => BACKEND_DESCRIPTIONS[c.backend].platform));
  return [...platforms].flatMap((platform) => {
    const { image, problems } = buildFor(group, platform);
    if (!image) return ["", ...problems];
    const bytes = image.placed.reduce((sum, p) => sum + p.bytes.length, 0);
    const ops = image.pvOps.length > 0 ? image.pvOps.join(", ") : "none: an unmodified guest";
    return [
      "",
      `image for ${platform}`,
      `  ${grouped(bytes)} bytes, starts at ${showValue(BigInt(image.start))}`,
      `  pv-ops: ${ops}`,
      ...problems.map((line) => `  ${line}`),
    ];
  });
}
