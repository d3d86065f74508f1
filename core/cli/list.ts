// `trivisor list`: what would run, without running it.
import type { Backend } from "../base/backend.ts";
import { EXIT_CODE, type ExitCode } from "../judge/verdict.ts";
import { cut, left, WIDTH, widthOf } from "../report/columns.ts";
import { toJson } from "../report/json.ts";
import { toStderr, toStdout } from "./output.ts";
import { prepare, type SelectionOptions } from "./prepare.ts";

export interface ListOptions extends SelectionOptions {
  readonly json?: boolean;
  /** Every case, not every group. */
  readonly cases?: boolean;
}

/** Prints groups with their tags, or cases. */
export async function list(options: ListOptions): Promise<ExitCode> {
  const prepared = await prepare(options);
  const groups = prepared.flatMap((p) => "group" in p ? [p.group] : []);
  const broken = prepared.flatMap((p) => "broken" in p ? [p.broken] : []);
  if (options.json) {
    const document = groups.map(({ id, scenario, file, tags, cases }) => ({
      id,
      scenario,
      file: file.name,
      tags,
      cases: cases.map(({ id, backend, engine, skip }) => ({
        id,
        backend,
        engine,
        skip: skip ?? null,
      })),
    }));
    toStdout(toJson(document) + "\n");
  } else if (options.cases) {
    for (const { id, skip } of groups.flatMap((g) => g.cases)) {
      toStdout(skip === undefined ? `${id}\n` : `${left(id, 48)}skipped: ${skip}\n`);
    }
  } else {
    for (const { id, tags, cases } of groups) {
      const runs: Backend[] = cases.filter((c) => c.skip === undefined).map((c) => c.backend);
      // Ids are there to be copied: only tags are cut.
      const head = left(id, 40) + left(String(runs.length), 4);
      const room = Math.max(12, WIDTH - widthOf(head));
      toStdout(`${head}${cut(tags.join(" "), room)}`.trimEnd() + "\n");
    }
  }
  for (const { fault } of broken) toStderr(`${fault?.text}\n`);
  return broken.length > 0 ? EXIT_CODE.usage : EXIT_CODE.ok;
}
