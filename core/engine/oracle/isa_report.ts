// `deno task coverage:isa [--list absent|untested|other|supported|unsupported|leaking] [--json]`: over every instruction code
// that iced lists, what is supported, by which oracle it is tested, and what is absent and proven to be #UD.
import { CpuidFeature } from "iced-x86";
import { type Coverage, coverageOf, everyCode } from "./isa_coverage.ts";
import { featuresOf } from "./isa_features.ts";
import { say, textOption } from "./options.ts";
import { handCodes } from "./tested_by_hand.ts";
import { type Tested, testedCodes } from "./tested_codes.ts";

/** One line of the report: the codes that need the same features. */
interface Row {
  readonly feature: string;
  codes: number;
  supported: number;
  tested: number;
  absent: number;
  other: number;
  defects: number;
}

const oraclesOf = (code: number, tested: Tested): string[] =>
  [...tested].filter(([, codes]) => codes.has(code)).map(([name]) => name);

function rowsOf(coverage: readonly Coverage[], tested: Tested): Row[] {
  const rows = new Map<string, Row>();
  for (const { code, standing } of coverage) {
    const feature = featuresOf(code).map((f) => CpuidFeature[f] ?? "").join("+");
    const row = rows.get(feature) ??
      { feature, codes: 0, supported: 0, tested: 0, absent: 0, other: 0, defects: 0 };
    rows.set(feature, row);
    row.codes++;
    if (standing === "supported") {
      row.supported++;
      if (oraclesOf(code, tested).length > 0) row.tested++;
    } else if (standing === "absent" || standing === "other") row[standing]++;
    else row.defects++;
  }
  return [...rows.values()].sort((a, b) => b.supported - a.supported || b.codes - a.codes);
}

const COLUMNS = ["codes", "supported", "tested", "absent", "other", "defects"] as const;

function table(rows: readonly Row[]): string[] {
  const width = Math.max(...rows.map(({ feature }) => feature.length));
  const total: Row = {
    feature: "all",
    codes: 0,
    supported: 0,
    tested: 0,
    absent: 0,
    other: 0,
    defects: 0,
  };
  for (const row of rows) COLUMNS.forEach((column) => total[column] += row[column]);
  const line = (name: string, cells: readonly (string | number)[]) =>
    name.padEnd(width) + cells.map((cell) => String(cell).padStart(11)).join("");
  return [
    line("", COLUMNS),
    ...[...rows, total].map((row) => line(row.feature, COLUMNS.map((column) => row[column]))),
  ];
}

/** Defects: codes that CPUID promises and that are #UD, or the other way round. */
export const defectsOf = (coverage: readonly Coverage[]): string[] =>
  coverage.filter(({ standing }) => standing === "unsupported" || standing === "leaking")
    .map(({ name, standing }) => `${name} is ${standing}`);

const LISTS = ["absent", "other", "supported", "unsupported", "leaking", "untested"];

if (import.meta.main) {
  const list = textOption("list");
  if (list !== undefined && !LISTS.includes(list)) {
    say(`--list takes one of ${LISTS.join(", ")}, not ${list}`);
    Deno.exit(2);
  }
  const coverage = coverageOf(everyCode());
  const tested = new Map([...testedCodes(), ["hand", handCodes()] as const]);
  if (Deno.args.includes("--json")) {
    const codes = coverage.map(({ code, name, standing, runs }) => ({
      name,
      features: featuresOf(code).map((feature) => CpuidFeature[feature]),
      standing,
      runs,
      oracles: oraclesOf(code, tested),
    }));
    say(JSON.stringify(codes, null, 1));
  } else if (list !== undefined) {
    for (const { code, name, standing } of coverage) {
      const untested = standing === "supported" && oraclesOf(code, tested).length === 0;
      if (list === standing || list === "untested" && untested) say(name);
    }
  } else {
    for (const line of table(rowsOf(coverage, tested))) say(line);
    for (const [name, codes] of tested) {
      const count = coverage.filter(({ code }) => codes.has(code)).length;
      say(`tested by ${name}: ${count} codes`);
    }
    for (const line of defectsOf(coverage)) say(line);
  }
  if (defectsOf(coverage).length > 0) Deno.exit(1);
}
