// The overhead tables, one an engine: exits, modelled cycles, cycles over `native`, and what they are made of. Of an engine
// that does not show all exits, only what is shown, and what its host has counted.
import { type Backend, BACKENDS, DEFAULT_ENGINE, type Engine, ENGINES } from "../base/backend.ts";
import { isExact } from "../judge/metrics.ts";
import type { Figures, GroupResult } from "../judge/result.ts";
import { compiledProfile } from "../vmm/compiled_profiles.ts";
import { nativeCost } from "../vmm/cost_model.ts";
import { cut, left, right, short, times, WIDTH } from "./columns.ts";

const COLUMN = 10;
/** Kinds shown for a group: the rest is summed up. */
const KINDS_SHOWN = 8;
const COARSE = "coarse, counted by the host's KVM";

type Row = readonly [label: string, cells: ReadonlyMap<Backend, string>];

/** Figures by back end, of one engine. */
function figuresOf(group: GroupResult, engine: Engine): Map<Backend, Figures> {
  return new Map(
    group.cases.flatMap((c): [Backend, Figures][] =>
      c.engine === engine && c.figures ? [[c.backend, c.figures]] : []
    ),
  );
}

function columnsOf(groups: readonly GroupResult[], engine: Engine): Backend[] {
  const ran = new Set(groups.flatMap((g) => [...figuresOf(g, engine).keys()]));
  return BACKENDS.filter((backend) => ran.has(backend));
}

function line(label: string, columns: readonly Backend[], cells: ReadonlyMap<Backend, string>) {
  const room = Math.max(16, WIDTH - COLUMN * columns.length);
  const text = columns.map((backend) => right(cells.get(backend) ?? "", COLUMN)).join("");
  return (left(cut(label, room - 2), room) + text).trimEnd();
}

function header(title: string, columns: readonly Backend[]): string {
  // "full-hw/shadow" is wider than a column: the part that tells it from `full-hw` is what counts.
  const names = columns.map((b) => [b, b.replace("full-hw/", "hw/")] as const);
  return line(` ${title}`, columns, new Map(names));
}

/** `OVERHEAD`, and of another engine than the usual one which. */
function titled(title: string, engine: Engine): string {
  return engine === DEFAULT_ENGINE ? title : `${title} on ${engine}`;
}

/** A table for each engine, with an empty line between them. */
function onEach(table: (engine: Engine) => readonly string[]): string[] {
  return ENGINES.map(table).filter((lines) => lines.length > 0)
    .flatMap((lines, i) => i === 0 ? lines : ["", ...lines]);
}

/** Everything about a few groups. */
export function overheadTable(groups: readonly GroupResult[]): string[] {
  return onEach((engine) => {
    const columns = columnsOf(groups, engine);
    if (columns.length === 0) return [];
    const lines = [header(titled("OVERHEAD", engine), columns)];
    for (const group of groups) {
      const figures = figuresOf(group, engine);
      if (figures.size === 0) continue;
      const exact = [...figures.values()].every(isExact);
      const rows = exact ? rowsOf(figures) : shownRows(figures);
      lines.push(` ${group.id}`);
      for (const [label, cells] of rows) lines.push(line(`   ${label}`, columns, cells));
    }
    return [...lines, ...freeOnNative(groups, engine)];
  });
}

/** What is there of exits where not all are shown: they can't be priced. */
function shownRows(figures: ReadonlyMap<Backend, Figures>): Row[] {
  const all = [...figures.values()];
  const kinds = new Set(all.flatMap((f) => Object.keys(f.exits.kinds)));
  const names = [...new Set(all.flatMap((f) => Object.keys(f.coarse ?? {})))];
  const row = (label: string, cell: (f: Figures) => number | undefined): Row => [
    label,
    new Map([...figures].map(([backend, f]) => {
      const value = cell(f);
      return [backend, value === undefined ? "" : short(value)];
    })),
  ];
  const coarse = names.map((name) => row(`  ${name}`, (f) => f.coarse?.[name]))
    .filter(([, cells]) => [...cells.values()].some((text) => text !== "" && text !== "0"));
  return [
    row("exits shown", (f) => f.unobserved?.includes("exits") ? undefined : f.exits.total),
    ...[...kinds].map((kind) => row(`  ${kind}`, (f) => f.exits.kinds[kind])),
    ...(coarse.length > 0 ? [row(COARSE, () => undefined), ...coarse] : []),
  ];
}

function rowsOf(figures: ReadonlyMap<Backend, Figures>): Row[] {
  const row = (label: string, cell: (f: Figures, backend: Backend) => string): Row => [
    label,
    new Map([...figures].map(([backend, f]) => [backend, cell(f, backend)])),
  ];
  const native = figures.get("native");
  const base = native ? totalCycles(native) : undefined;
  return [
    row("exits", (f) => short(f.exits.total)),
    row("modelled cycles", (f) => short(totalCycles(f))),
    ...(native && base !== undefined
      ? [
        row("over native", (f, backend) =>
          backend === "native" ? "–" : endsAlike(f, native) ? times(totalCycles(f) / base) : "n/a"),
      ]
      : []),
    ...kindRows(figures),
  ];
}

/**
 * Did both get equally far? A guest that `para` stops at its first unported instruction did not do what it did on
 * `native`, so there is no ratio to tell.
 */
function endsAlike({ end }: Figures, native: Figures): boolean {
  return end.kind === native.end.kind;
}

/** Cycles by kind of exit, the dearest first. */
function kindRows(figures: ReadonlyMap<Backend, Figures>): Row[] {
  const most = new Map<string, number>();
  for (const { cycles } of figures.values()) {
    for (const [kind, cost] of Object.entries(cycles.kinds)) {
      most.set(kind, Math.max(most.get(kind) ?? 0, cost));
    }
  }
  const kinds = [...most].filter(([, cost]) => cost > 0).sort((a, b) => b[1] - a[1]);
  const cost = (f: Figures, names: readonly (readonly [string, number])[]) =>
    names.reduce((sum, [kind]) => sum + (f.cycles.kinds[kind] ?? 0), 0);
  const row = (label: string, names: readonly (readonly [string, number])[]): Row => [
    `  ${label}`,
    new Map(
      [...figures].map(([b, f]) => [b, cost(f, names) > 0 ? short(cost(f, names)) : ""]),
    ),
  ];
  const rest = kinds.slice(KINDS_SHOWN);
  return [
    ...kinds.slice(0, KINDS_SHOWN).map((kind) => row(kind[0], [kind])),
    ...(rest.length > 0 ? [row(`${rest.length} more kinds`, rest)] : []),
  ];
}

function totalCycles({ cycles }: Figures): number {
  return cycles.guest + cycles.vmm;
}

/** A line a folder of scenarios: the geometric mean of modelled cycles over native. */
export function overheadSummary(groups: readonly GroupResult[]): string[] {
  return onEach((engine) => summaryOn(groups, engine));
}

function summaryOn(groups: readonly GroupResult[], engine: Engine): string[] {
  const columns = columnsOf(groups, engine);
  const rows = [...Map.groupBy(groups, (g) => folderOf(g.scenario))]
    .map(([folder, members]) => [folder, members.length, meansOf(members, engine)] as const)
    .filter(([, , means]) => means.size > 0);
  if (rows.length === 0) return [];
  return [
    header(titled("OVER NATIVE", engine), columns),
    ...rows.map(([folder, count, means]) =>
      line(`   ${folder} (${count})`, columns, new Map([["native", "–"], ...means]))
    ),
    " Modelled cycles over those of native: geometric means of (n) groups of cases,",
    " for a back end of those that it ran. --overhead shows what each is made of.",
    ...freeOnNative(groups, engine),
  ];
}

/** What reaches devices on bare hardware, as cost profiles name it. */
const DEVICE_OPERATIONS = ["port-io", "mmio"];

/** What makes some factors over `native` too large to be true: what the profile has no figure for costs native nothing. */
function freeOnNative(groups: readonly GroupResult[], engine: Engine): string[] {
  const natives = groups.flatMap((group) => figuresOf(group, engine).get("native") ?? []);
  const profile = natives[0] && compiledProfile(natives[0].cycles.profile);
  const free = profile &&
    DEVICE_OPERATIONS.some((operation) =>
      nativeCost(profile, operation) === 0 &&
      natives.some(({ native }) => (native[operation] ?? 0) > 0)
    );
  if (!free) return [];
  return [
    ` ${profile.name} has no figure for devices of bare hardware: to native they cost an`,
    " instruction, and what is mostly input and output looks worse than it is.",
  ];
}

function folderOf(scenario: string): string {
  const slash = scenario.lastIndexOf("/");
  return slash === -1 ? "." : scenario.slice(0, slash);
}

/** By back end, where both it and `native` ran, and ended alike. */
function meansOf(groups: readonly GroupResult[], engine: Engine): Map<Backend, string> {
  const logs = new Map<Backend, number[]>();
  for (const figures of groups.map((group) => figuresOf(group, engine))) {
    const native = figures.get("native");
    if (!native || !isExact(native) || totalCycles(native) === 0) continue;
    for (const [backend, f] of figures) {
      if (backend === "native" || !endsAlike(f, native)) continue;
      const ratio = Math.log(totalCycles(f) / totalCycles(native));
      logs.set(backend, [...logs.get(backend) ?? [], ratio]);
    }
  }
  return new Map(
    [...logs].map(([backend, values]) => [
      backend,
      times(Math.exp(values.reduce((a, b) => a + b, 0) / values.length)),
    ]),
  );
}
