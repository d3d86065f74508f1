// How far subjects agree with what scenarios expect and with each other, as a table in Markdown: a row for each folder of
// scenarios, a column for each subject.
import { BACKENDS, subjectName } from "../base/backend.ts";
import type { CaseResult, GroupResult } from "../judge/result.ts";
import type { Verdict } from "../judge/verdict.ts";

/** What can become of a case here, and its sign. */
const SIGNS = {
  agrees: "✓",
  "agrees as far as it shows": "◐",
  "deviates as the ledger knows": "~",
  disagrees: "✗",
  "can't be judged": "!",
  skipped: "–",
} as const;
type Kind = keyof typeof SIGNS;

const KINDS: Readonly<Record<Verdict, Kind>> = {
  "passed": "agrees",
  "unobserved": "agrees as far as it shows",
  "known-deviation": "deviates as the ledger knows",
  "flaky": "disagrees",
  "failed": "disagrees",
  "diverged": "disagrees",
  "error": "can't be judged",
  "skipped": "skipped",
};

/** The table, what its signs mean, the subjects, what the ledger excuses, and why cases were skipped. */
export function agreementTable(groups: readonly GroupResult[]): string {
  const cases = groups.flatMap((g) => g.cases);
  const subjects = [...Map.groupBy(cases, subjectName)];
  const folders = [...Map.groupBy(groups, (g) => g.scenario.split("/").slice(0, -1).join("/"))];
  const row = (label: string, members: readonly GroupResult[]) => [
    label === "" ? "." : label,
    ...subjects.map(([name]) =>
      cell(members.flatMap((g) => g.cases).filter((c) => subjectName(c) === name))
    ),
  ];
  const rows = [
    ...folders.map(([folder, members]) => row(folder, members)),
    row(`all ${cases.length} cases`, groups),
  ];
  return [
    ...table(["scenarios", ...subjects.map(([name]) => `\`${name}\``)], rows),
    "",
    legend(cases),
    ...section("Subjects", subjects.flatMap(([name, own]) => subjectLine(name, own))),
    ...section("Disagreements", disagreements(cases)),
    ...folded("Known deviations", knownLines(groups)),
    ...folded("Skipped", skips(subjects)),
  ].join("\n") + "\n";
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = head.map((_, i) => Math.max(3, ...[head, ...rows].map((r) => length(r[i] ?? ""))));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((c, i) => c + " ".repeat((widths[i] ?? 0) - length(c))).join(" | ")} |`;
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...rows.map(line)];
}

function length(text: string): number {
  return [...text].length;
}

function counted(cases: readonly CaseResult[]): Partial<Record<Kind, number>> {
  const counts: Partial<Record<Kind, number>> = {};
  for (const { verdict } of cases) counts[KINDS[verdict]] = (counts[KINDS[verdict]] ?? 0) + 1;
  return counts;
}

const ALL_KINDS = Object.keys(SIGNS).filter((kind): kind is Kind => Object.hasOwn(SIGNS, kind));

/** `✓ 10 ◐ 4 – 2` */
function cell(cases: readonly CaseResult[]): string {
  const counts = counted(cases);
  return ALL_KINDS.flatMap((k) => counts[k] ? [`${SIGNS[k]} ${counts[k]}`] : []).join(" ");
}

function legend(cases: readonly CaseResult[]): string {
  const counts = counted(cases);
  return ALL_KINDS.filter((kind) => counts[kind]).map((k) => `${SIGNS[k]} ${k}`).join(", ") + ".";
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length > 0 ? ["", `${title}:`, "", ...lines.map((line) => `- ${line}`)] : [];
}

/** The same for what only who asks for it wants to read. */
function folded(title: string, lines: readonly string[]): string[] {
  if (lines.length === 0) return [];
  const summary = `<details><summary>${title}: ${lines.length}</summary>`;
  return ["", summary, "", ...lines.map((line) => `- ${line}`), "", "</details>"];
}

/** `full-hw@kvm`: 6.12.9 on svm */
function subjectLine(name: string, cases: readonly CaseResult[]): string[] {
  const told = cases.flatMap(({ version, host }) =>
    version || host ? [[version, host && `on ${host}`].filter(Boolean).join(" ")] : []
  );
  return told[0] === undefined ? [] : [`\`${name}\`: ${told[0]}`];
}

/** Each entry of the ledger once, with how many cases it excuses. */
function knownLines(groups: readonly GroupResult[]): string[] {
  const entries = groups.flatMap((g) => g.cases).flatMap((c) =>
    (c.known ?? []).filter((k) => k.state === "excused").map((k) => ({ c, k }))
  );
  return [...Map.groupBy(entries, ({ k }) => k.at)].map(([at, members]) => {
    const names = [...new Set(members.map(({ c }) => `\`${subjectName(c)}\``))].join(", ");
    const scenarios = [...new Set(members.map(({ c }) => c.scenario))].join(", ");
    const { reason = "", manual = "" } = members[0]?.k ?? {};
    return `${names}, ${scenarios}: ${reason} ${manual}. (${at})`;
  });
}

function disagreements(cases: readonly CaseResult[]): string[] {
  const bad = cases.filter((c) => KINDS[c.verdict] === "disagrees");
  return bad.map(({ id, reason = "" }) => `\`${id}\`: ${reason}`);
}

/** Each reason once, with how many cases of which subjects it skips; the commonest first. */
function skips(subjects: readonly (readonly [string, readonly CaseResult[]])[]): string[] {
  const skipped = subjects.flatMap(([, cases]) => cases.filter((c) => c.verdict === "skipped"));
  return [...Map.groupBy(skipped, commonReason)]
    .sort(([, a], [, b]) => b.length - a.length)
    .map(([reason, members]) => {
      const counts = [...Map.groupBy(members, subjectName)].map(([name, own]) =>
        `\`${name}\` ${own.length}`
      );
      return `${reason}: ${counts.join(", ")}`;
    });
}

const OTHER_BACKENDS = new RegExp(
  `^the scenario requires ((${BACKENDS.join("|")})( or )?)+$`,
);

/** As all subjects have it: without the name of this one, nor those that the scenario is for instead. */
function commonReason(skipped: CaseResult): string {
  const { reason = "no reason" } = skipped;
  if (OTHER_BACKENDS.test(reason)) return "the scenario is for other back ends";
  const name = subjectName(skipped);
  return reason.replace(`${name}: `, "").replaceAll(name, "the subject");
}
