// `deno task oracle:qemu --cases N --seed S [--mode NAME]`: the embedded CPU against QEMU's, by what the table of system
// trials holds and by random programs, in every mode.
import { type Mode, MODES } from "./machine.ts";
import { numberOption, say, textOption } from "./options.ts";
import { PAGED_MODES, pagingTrial } from "./paging_trials.ts";
import { plainTrial } from "./programs.ts";
import { qemuUnavailable } from "./qemu.ts";
import { Random } from "./random.ts";
import { describeMismatch, Session, type Tally } from "./session.ts";
import { systemTrials } from "./system_trials.ts";

/** Instructions a grant: long ones make one region of a program, short ones several. */
const SHORT_GRANT = 3;

/** Random programs, mode by mode in turn. */
export async function runPlain(
  session: Session,
  cases: number,
  seed: number,
  modes: readonly Mode[] = MODES,
): Promise<void> {
  const random = new Random(seed);
  for (let i = 0; i < cases; i++) {
    const trial = plainTrial(random, random.pick(modes), `program ${i}, seed ${seed}`);
    await session.compare(trial, i % 2 ? undefined : SHORT_GRANT);
  }
}

/** Random page tables, mode by mode. */
export async function runPaging(
  session: Session,
  cases: number,
  seed: number,
  modes: readonly Mode[] = PAGED_MODES,
): Promise<void> {
  const random = new Random(seed);
  const paged = modes.filter((mode) => PAGED_MODES.includes(mode));
  for (let i = 0; i < cases && paged.length > 0; i++) {
    await session.compare(pagingTrial(random, random.pick(paged), `paging ${i}, seed ${seed}`));
  }
}

/** The table of system trials: every one, or one in so many, from the first on. */
export async function runSystem(
  session: Session,
  modes: readonly Mode[] = MODES,
  oneIn = 1,
): Promise<void> {
  for (const mode of modes) {
    for (const [i, trial] of systemTrials(mode).entries()) {
      if (i % oneIn === 0) await session.compare(trial);
    }
  }
}

/** What came of it, line by line. */
export function report({ compared, outside, mismatches, forgiven }: Tally): string[] {
  return [
    ...[...compared].map(([mode, count]) => `${mode}: ${count} trials`),
    `${outside} left RAM and were not compared`,
    ...[...forgiven].map(([{ why }, times]) => `${times} times: ${why}`),
    `${mismatches.length} mismatches`,
  ];
}

if (import.meta.main) {
  const unavailable = await qemuUnavailable();
  if (unavailable) {
    say(`skipped: ${unavailable}`);
    Deno.exit(0);
  }
  const [cases, seed, name] = [
    numberOption("cases", 5000),
    numberOption("seed", 1),
    textOption("mode"),
  ];
  const modes = MODES.filter((mode) => name === undefined || mode.name.startsWith(name));
  if (modes.length === 0) {
    say(`--mode takes one of ${MODES.map((mode) => mode.name).join(", ")}, not ${name}`);
    Deno.exit(2);
  }
  const session = new Session((mismatch) => say(describeMismatch(mismatch)));
  try {
    await runSystem(session, modes);
    await runPlain(session, cases, seed, modes);
    await runPaging(session, cases, seed, modes);
  } finally {
    await session.stop();
  }
  for (const line of report(session.tally)) say(line);
  say(`seed ${seed}`);
  Deno.exit(session.tally.mismatches.length > 0 ? 1 : 0);
}
