// Runs on a VMM that fails in a way chosen by chance (fixtures/vmm/faulty.pl), and the verdict that each must have.
import { assertEquals, assertMatch } from "@std/assert";
import { fileURLToPath } from "node:url";
import { subjectName } from "../../base/backend.ts";
import type { Random } from "../../engine/oracle/random.ts";
import type { Limits } from "../../scenario/case.ts";
import { describeEnd } from "../../trace/print.ts";
import type { Job } from "../../vmm/subject.ts";
import type { FaultStep, FaultTrial, Result } from "../testing_faults.ts";
import { canary } from "../canary.ts";
import { externalSubject } from "./external.ts";

const FAULTY = fileURLToPath(new URL("../../../fixtures/vmm/faulty.pl", import.meta.url));
/** Letters that a run prints before the fault, at most. */
const MAX_LETTERS = 300;
/** The same where each waits for its answer. */
const MAX_FORWARDED = 10;
/** Milliseconds for a run that hangs: limit and grace. */
const HANG = { wallMs: 500, grace: 200 };
/** A verdict on a busy machine. */
const WITHIN_MS = 20_000;
/** The limit that endless exits run into. */
const EXITS = 5_000;

/** What is expected of a fault: in words, `describeEnd`'s or the reason of a skipped run. */
interface Expected {
  readonly end: RegExp;
  /** It comes before the VMM has said hello. */
  readonly early?: true;
  /** It takes until a limit on time. */
  readonly hangs?: true;
  /** That, and it has had answers to wait for. */
  readonly slow?: true;
  /** The process does something more when the run is over: if that is noticed late, it is the next run's end. */
  readonly lingers?: true;
}

const TIME = /^stopped by the limit on time$/;
const hangs = { end: TIME, hangs: true } as const;
const slow = { ...hangs, slow: true } as const;
const crash = (reason: string): Expected => ({ end: new RegExp(`^crash at 0x0: ${reason}`) });
const early = (reason: string): Expected => ({ ...crash(reason), early: true });
const line = (what: string) => crash(`Line \\d+ of the VMM's output: ${what}`);
const afterwards: Expected = {
  end: /^shutdown 42$|The VMM has ended|after the end of its last run$/,
};
const fine: Expected = { end: /^shutdown 42$/ };

/** By the names that the VMM knows. */
export const EXPECTED: Readonly<Record<string, Expected>> = {
  "no hello, exit": early("The VMM has ended: exit status 7$"),
  "no hello, killed": early("The VMM has ended: SIGKILL$"),
  "no hello, hang": early("The VMM has said nothing within"),
  "no hello, garbage": early("Line 1 .*: expected one JSON object, but it is Usage: faulty"),
  "another protocol": early('Line 1 .*: protocol: expected one of "trivisor-vmm/1"'),
  "hello without capabilities": early("Line 1 .*: capabilities.entries: expected an array"),

  "exit 0": crash("The VMM has ended: exit status 0$"),
  "exit 3": crash("The VMM has ended: exit status 3$"),
  "last words": crash("The VMM has ended: exit status 3; its last words: out of luck$"),
  "killed": crash("The VMM has ended: SIGKILL$"),
  "segfault": crash("The VMM has ended: SIGSEGV$"),
  "hang": hangs,
  "busy": hangs,
  "hang, deaf to SIGTERM": hangs,
  "half a line, exit": crash(
    "The VMM has ended: exit status 0, in the middle of line \\d+ of its output$",
  ),
  "half a line, hang": hangs,
  "a line without end": line("a line without end$"),
  "events without end": { ...hangs, end: /limit on time$|too much output$/ },
  "exits without end": { end: /^stopped by the limit on exits$/ },
  "stderr without end": { ...hangs, end: /limit on time$|too much on stderr$/ },
  "no UTF-8": line("it is not UTF-8$"),
  "no JSON": line("expected one JSON object, but it is Segmentation fault$"),
  "an empty line": line("expected one JSON object, but it is empty$"),
  "no object": line("expected an object, but it is \\[1,2\\]$"),
  "null": line("expected an object, but it is null$"),
  "depth": line("expected one JSON object, but it is \\[+…$"),
  "an unknown type": line('type: expected one of .*, but it is "goodbye"$'),
  "a second hello": line('"hello", where an event or the end was expected$'),
  "bytes that nobody wanted": line('"bytes", where an event or the end was expected$'),
  "stopped by nobody": line("nobody has stopped it$"),
  "a huge number": line("events\\[0\\].exit.detail.port: expected "),
  "a huge address": line("events\\[0\\].exit.rip: expected hexadecimal digits"),
  "a negative code": line("end.code: expected at least 0"),
  "a field too many": line("events\\[0\\]: there is no colour here$"),
  "an odd prototype": line("events\\[0\\]: there is no __proto__ here$"),
  "no base64": line("events\\[0\\].console: expected bytes in base64"),
  "an error": crash("The VMM gives up: out of memory$"),
  "unsupported": { end: /can't: no such thing$/ },
  "output closed": crash("The VMM has closed its output$"),
  "everything closed": crash("The VMM has closed its output$"),
  "a grandchild with the pipes": crash("The VMM has ended: exit status 5$"),
  "a grandchild, deaf": crash("The VMM has ended: exit status 5$"),

  "forwarded, killed at an exit": crash("The VMM has ended: SIGKILL$"),
  "forwarded, input closed": slow,
  "forwarded, deaf to stop": slow,
  "forwarded, exits without end": { ...slow, end: /does not read what it is sent$|limit on/ },
  "forwarded, goes on after stop": line('"exit", where the end was expected$'),
  "forwarded, code outside RAM": { end: /where there is no RAM$/ },
  "forwarded, a huge access": slow,

  "none": fine,
  "a second end": { ...fine, lingers: true },
  "input closed": { ...fine, lingers: true },
  "stderr closed": fine,
  "noise on stderr": fine,
  "exit after the end": { ...fine, lingers: true },
  "killed after the end": { ...fine, lingers: true },
};

function job(limits: Partial<Limits> = {}): Job {
  const plain = canary("long64");
  return { ...plain, group: { ...plain.group, limits: { ...plain.group.limits, ...limits } } };
}

function step(
  kind: string,
  expected: Expected,
  letters: number,
  limits: Partial<Limits>,
): FaultStep {
  return {
    kind,
    job: job(limits),
    within: WITHIN_MS,
    check: (result: Result) => {
      if ("lacks" in result) return assertMatch(result.lacks, expected.end);
      const { end, console } = result.trace;
      assertMatch(describeEnd(end), expected.end);
      if (expected === afterwards) return;
      const text = new TextDecoder().decode(console);
      // How far answers get before a limit on time is a matter of how busy the machine is.
      if (expected.slow) return assertMatch(text, new RegExp(`^A{0,${letters}}$`));
      // What was said before the fault is there, all of it.
      assertEquals(text, "A".repeat(letters));
    },
  };
}

/**
 * A trial of one fault, in the first run of a process or a later one; a subject that has had it goes on. `token` marks the
 * processes.
 */
export function faultTrial(fault: string, random: Random, token: string): FaultTrial {
  const expected = EXPECTED[fault];
  if (!expected) throw new Error(`No fault ${fault}`);
  const letters = random.below(fault.startsWith("forwarded") ? MAX_FORWARDED : MAX_LETTERS);
  const faultyRun = expected.early ? 1 : 1 + random.below(2);
  const command = ["perl", FAULTY, fault, `${letters}`, `${faultyRun}`, token];
  // A hang before hello needs patience to end; anything else must not run out of it on a busy machine.
  const patience = fault === "no hello, hang" ? HANG.grace : WITHIN_MS;
  const subject = externalSubject({
    command,
    patience,
    grace: expected.hangs ? HANG.grace : WITHIN_MS,
  });
  const limits = {
    exits: EXITS,
    wallMs: expected.hangs ? HANG.wallMs : WITHIN_MS,
  };
  const faulty = step(fault, expected, expected.early ? 0 : letters, limits);
  const passes = (what: Expected) => step("none", what, letters, { wallMs: WITHIN_MS });
  return {
    name: `${subjectName(subject.id)}, ${fault}, ${letters} letters, run ${faultyRun}`,
    subject,
    steps: faultyRun === 1
      ? [faulty]
      : [passes(fine), faulty, passes(expected.lingers ? afterwards : fine)],
  };
}

/** Trials of faults chosen by chance, each fault at least once if there are so many. */
export function* faultTrials(random: Random, count: number, token: string): Generator<FaultTrial> {
  const faults = Object.keys(EXPECTED);
  for (let i = 0; i < count; i++) {
    yield faultTrial(faults[i] ?? random.pick(faults), random, token);
  }
}

/** The faults that the VMM knows. */
export async function knownFaults(): Promise<string[]> {
  const { stdout } = await new Deno.Command("perl", { args: [FAULTY, "list"] }).output();
  const lines = new TextDecoder().decode(stdout).trim().split("\n");
  return lines.map((text) => text.split("\t")[1] ?? "");
}

/** Why there are no such runs here. */
export async function noPerl(): Promise<string | undefined> {
  try {
    await new Deno.Command("perl", { args: ["-e", "1"] }).output();
    return Deno.build.os === "linux" ? undefined : "this is not Linux";
  } catch {
    return "perl is not installed";
  }
}
