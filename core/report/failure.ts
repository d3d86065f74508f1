// What failed, told line by line: the expectation, where it is written, what came nearest, and the line of the program
// and the instruction that made it.
import { red, yellow } from "@std/fmt/colors";
import { DEFAULT_ENGINE } from "../base/backend.ts";
import type {
  CaseResult,
  Check,
  CheckLine,
  ComparisonResult,
  Difference,
  EventReference,
  EventRelation,
  GroupResult,
} from "../judge/result.ts";
import type { Known } from "../judge/known/deviation.ts";
import { isWorse, type Verdict } from "../judge/verdict.ts";
import { cut, left, WIDTH, wrap } from "./columns.ts";
import { listNames, namesOf, ranOf } from "./names.ts";

/** Stands before every line below a group. */
export const BAR = "   │ ";
/** Lines of one expectation that are shown: those around the first that is not met. */
const LINES_SHOWN = 12;

/** What scenario or harness did wrong, and what is odd about the program. Texts in `told` have been printed before, and those printed now are added. */
export function explainFaults(
  { fault, cases, warnings = [] }: GroupResult,
  told: Set<string>,
): string[] {
  const faults = [fault, ...cases.map((c) => c.fault)].flatMap((f) => f ? [f.text] : []);
  // What is only odd is not worth a second word.
  const odd = warnings.filter((text) => !told.has(text));
  return [...new Set([...faults, ...odd])].flatMap((text) => {
    if (told.has(text)) return [`${BAR}the same as above`];
    told.add(text);
    return text.split("\n").map((line) => BAR + line);
  });
}

/** Did anything go wrong that nobody knew of? */
export function isBad({ verdict }: { readonly verdict: Verdict }): boolean {
  return isWorse(verdict, "known-deviation");
}

/** Every expectation that was not met, and where back ends differ; told once where it is the same for several. */
export function explainCases(group: GroupResult): string[] {
  const cases = group.cases.filter(isBad);
  const blocks = new Map<string, { check: Check; body: string[]; on: CaseResult[] }>();
  for (const result of cases) {
    const { checks, differences } = result;
    // An end that nobody stated is wrong, and another than the others': that is one mistake, told once.
    const toldEnd = differences.some((d) => d.aspect === "end");
    const told = (c: Check) => toldEnd && c.about === "end" && !c.source;
    for (const check of checks.filter((c) => c.status === "not met" && !told(c))) {
      const body = explainLines(check.lines);
      const key = [check.about, check.source?.at, ...body].join("\n");
      const block = blocks.get(key) ?? { check, body, on: [] };
      block.on.push(result);
      blocks.set(key, block);
    }
  }
  return [
    ...cases.flatMap((result) =>
      result.differences.flatMap((d) => explainDifference(namesOf([result], group), d))
    ),
    ...[...blocks.values()].flatMap(({ check, body, on }) => [
      ...checkTitle(check, namesOf(on, group)),
      ...body,
    ]),
  ];
}

/** What subjects could not show, by expectation; one line for those that are alike. */
export function explainUnobserved(group: GroupResult): string[] {
  const seen = ranOf(group).flatMap((result) => {
    const abouts = result.checks.filter((c) => c.status === "unobserved").map((c) => c.about);
    return abouts.length > 0 ? [{ result, abouts: abouts.join(", ") }] : [];
  });
  return [...Map.groupBy(seen, ({ abouts }) => abouts)].flatMap(([abouts, alike]) => {
    const names = namesOf(alike.map(({ result }) => result), group);
    const [first = "", ...rest] = wrap(`unobserved on ${names}: ${abouts}`, WIDTH - BAR.length - 2);
    return [first, ...rest.map((line) => `  ${line}`)].map((line) => BAR + line);
  });
}

/** What the ledger says of subjects: what is gone or excused no longer, and with `all` what is excused. */
export function explainKnown(group: GroupResult, all: boolean): string[] {
  const entries = ranOf(group).flatMap((result) =>
    (result.known ?? []).filter((k) => all || k.state !== "excused").map((k) => ({ result, k }))
  );
  const alike = Map.groupBy(entries, ({ k }) => [k.state, k.at, ...k.about].join());
  return [...alike.values()].flatMap((members) => {
    const [first] = members;
    if (!first) return [];
    const names = namesOf(members.map(({ result }) => result), group);
    const lines = knownLines(first.k, names).flatMap((text) => wrap(text, WIDTH - BAR.length - 4));
    return lines.map((line, i) => BAR + (i === 0 ? line : `    ${line}`));
  });
}

function knownLines(known: Known, names: string): string[] {
  const { state, about, reason, manual, link, until, at } = known;
  const what = `${about.join(", ")}, ${at}`;
  switch (state) {
    case "gone":
      return [`${red("the deviation is gone")} on ${names}: ${what}; remove it`];
    case "expired":
      return [`${red("excused no longer")}, since ${until}, on ${names}: ${what}`, reason];
    case "excused":
      return [`${yellow("known deviation")} on ${names}: ${what}`, `${reason} ${manual}. ${link}`];
    default:
      return state satisfies never;
  }
}

function checkTitle({ about, source }: Check, subjects: string): string[] {
  const title = `expected on ${subjects}: ${about}`;
  if (!source) return [BAR + title];
  const whole = `${title}, ${source.at}`;
  const heading = BAR.length + whole.length <= WIDTH ? [whole] : [`${title},`, `  ${source.at}`];
  return [...heading, cut(`    ${source.text}`, WIDTH - BAR.length)].map((line) => BAR + line);
}

function explainLines(lines: readonly CheckLine[]): string[] {
  const bad = Math.max(0, lines.findIndex((l) => l.status !== "met"));
  const first = Math.max(0, Math.min(bad - 3, lines.length - LINES_SHOWN));
  const shown = lines.slice(first, first + LINES_SHOWN);
  const width = Math.min(34, Math.max(...shown.map((l) => [...l.expected].length)) + 2);
  const rest = lines.length - first - shown.length;
  return [
    ...(first > 0 ? [`${BAR}  ${first} met before these`] : []),
    ...shown.flatMap((l, i) => explainLine(l, first + i + 1, width)),
    ...(rest > 0 ? [`${BAR}  ${rest} more`] : []),
  ];
}

const RELATIONS: Readonly<Record<EventRelation, string>> = {
  nearest: "nearest: ",
  earlier: "nearest, but too early: ",
  instead: "instead: ",
  first: "the first: ",
};

function explainLine(line: CheckLine, number: number, width: number): string[] {
  const { status, expected, actual, event, relation = "nearest" } = line;
  const mark = left(status, 11);
  const coloured = status === "not met" ? red(mark) : status === "unobserved" ? yellow(mark) : mark;
  const got = actual === undefined ? "" : status === "met" ? actual : `got: ${actual}`;
  const told = event ? (status === "met" ? "" : RELATIONS[relation]) + where(event) : "";
  const result = [got, told].filter((text) => text !== "").join("; ");
  const head = `${BAR}${String(number).padStart(2)} ${coloured}`;
  const tooLong = BAR.length + 14 + Math.max(width, [...expected].length) + result.length > WIDTH;
  const indent = `${BAR}${" ".repeat(14)}`;
  const lines = tooLong && result !== ""
    ? [head + expected, ...wrap(result, WIDTH - indent.length).map((text) => indent + text)]
    : [(head + (result === "" ? expected : left(expected, width) + result)).trimEnd()];
  if (event && status !== "met") lines.push(...sourceOf(event).map((text) => indent + text));
  return lines;
}

/** `exit 6, vm-exit cr-access, at remap+0x2f` */
function where({ name, text, place }: EventReference): string {
  return `${name}, ${text}${place ? `, at ${place}` : ""}`;
}

/** The program's line, and the instruction where the line does not say it. */
export function sourceOf(
  { source, disassembly }: Pick<EventReference, "source" | "disassembly">,
): string[] {
  const lines = source ? [`${source.at}:  ${source.text}`] : [];
  const same = source && squeeze(source.text).startsWith(squeeze(disassembly ?? ""));
  return disassembly && !same ? [...lines, `instruction:  ${disassembly}`] : lines;
}

function squeeze(text: string): string {
  return text.replaceAll(/\s+/g, "").toLowerCase();
}

function explainDifference(subject: string, difference: Difference): string[] {
  const { aspect, text, agree, event } = difference;
  const others = agree.length > 0 ? `${listNames(agree)} agree` : "no two agree";
  const [first = "", ...rest] = wrap(`: ${aspect} on ${subject}; ${others}`, WIDTH - 16);
  return [
    BAR + red("diverged") + first,
    ...rest.map((line) => `${BAR}  ${line}`),
    ...indented(text),
    ...(event ? indented(`last before: ${where(event)}`) : []),
    ...(event ? sourceOf(event).map((line) => `${BAR}    ${line}`) : []),
  ];
}

function indented(text: string): string[] {
  return wrap(text, WIDTH - BAR.length - 4).map((line) => `${BAR}    ${line}`);
}

/** A comparison that did not hold. */
export function explainComparison(comparison: ComparisonResult): string[] {
  const { metric, expected, source, reason, figures, engine } = comparison;
  const on = engine === DEFAULT_ENGINE ? "" : ` on ${engine}`;
  const values = Object.entries(figures).map(([backend, value]) => `${backend} ${value}`);
  return [
    `${BAR}compared${on}, ${source.at}`,
    ...indented(`${metric}: ${expected}`),
    ...indented(reason ?? ""),
    ...(values.length > 2 ? indented(values.join(", ")) : []),
  ];
}
