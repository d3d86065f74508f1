// The command line. Each verb is loaded when it is asked for, as start-up time is part of every run.
import { Command, CommanderError } from "@commander-js/extra-typings";
import { BACKENDS, ENGINES } from "../base/backend.ts";
import { QEMU_MODES } from "../foreign/qemu/mode.ts";
import { Subjects } from "../foreign/subjects.ts";
import { EXIT_CODE, type ExitCode } from "../judge/verdict.ts";
import { complaintOf } from "./complaint.ts";
import {
  AGREEMENT_HELP,
  BOOT_HELP,
  COSTS_HELP,
  DIVERGE_HELP,
  EXPLAIN_HELP,
  HELP,
  LIST_HELP,
  RUN_HELP,
  TRACE_HELP,
} from "./help.ts";
import {
  backends,
  command,
  engines,
  kvmOptions,
  list as words,
  oneOf,
  outside,
  positive,
  shard,
} from "./options.ts";
import { toStderr, toStdout } from "./output.ts";
import type { SelectionOptions } from "./prepare.ts";
import { withSubjects } from "./with_subjects.ts";

const REPORTERS = ["console", "json"] as const;

/** What `costs` can find out. */
const COSTS_SUBJECTS = ["measure", "options", "statistics"] as const;

/** Where scenarios are looked for when no path is given. */
const DEFAULT_PATHS = ["scenarios"];

/** Runs the command line and tells the exit code; never throws. */
export async function main(args: readonly string[]): Promise<ExitCode> {
  let code: ExitCode = EXIT_CODE.ok;
  const program = commands((result) => code = result);
  try {
    await program.parseAsync([...args], { from: "user" });
    return code;
  } catch (error) {
    // Commander has printed what it has to say.
    if (error instanceof CommanderError) {
      return error.exitCode === 0 ? EXIT_CODE.ok : EXIT_CODE.usage;
    }
    if (error instanceof Deno.errors.BrokenPipe) return EXIT_CODE.ok;
    const { text, exitCode } = complaintOf(error);
    toStderr(`${text}\n`);
    return exitCode;
  }
}

interface SelectionFlags {
  readonly backend?: SelectionOptions["backends"];
  readonly engine?: SelectionOptions["engines"];
  readonly tag?: SelectionOptions["tags"];
  readonly grep?: string;
  readonly shard?: SelectionOptions["shard"];
}

/** What the flags that all verbs share select. */
function selection(paths: readonly string[], flags: SelectionFlags): SelectionOptions {
  return {
    paths: paths.length > 0 ? paths : DEFAULT_PATHS,
    ...(flags.backend ? { backends: flags.backend } : {}),
    ...(flags.engine ? { engines: flags.engine } : {}),
    ...(flags.tag ? { tags: flags.tag } : {}),
    ...(flags.grep === undefined ? {} : { grep: flags.grep }),
    ...(flags.shard ? { shard: flags.shard } : {}),
  };
}

/** A verb with the flags that choose cases. */
function selecting(name: string) {
  return new Command(name)
    .option("-b, --backend <names>", `with commas or repeated: ${BACKENDS.join(", ")}`, backends)
    .option(
      "--engine <names>",
      `what executes the guests, with commas or repeated: ${
        ENGINES.join(", ")
      } (default: embedded)`,
      engines,
    )
    .option("-t, --tag <tags>", "scenarios with any of these tags; !tag rules out", words)
    .option("-g, --grep <text>", "groups and cases whose id has this text, or matches this pattern")
    .option("--shard <n/m>", "the nth of m parts, stable by group", shard);
}

function commands(done: (code: ExitCode) => void) {
  const program = new Command("trivisor")
    .description(
      "Runs guest programs on full, para- and hybrid virtualization back ends, and compares them.",
    )
    .version("0.1.0")
    .addHelpText("after", HELP);
  program.addCommand(runCommand(done));
  program.addCommand(listCommand(done));
  program.addCommand(explainCommand(done));
  program.addCommand(traceCommand(done));
  program.addCommand(divergeCommand(done));
  program.addCommand(agreementCommand(done));
  program.addCommand(bootCommand(done));
  program.addCommand(costsCommand(done));
  program.addCommand(
    new Command("doctor")
      .option(...QEMU)
      .option(...VMM)
      .description("which subjects this machine has, and why not the others")
      .action(async (flags) => done(await (await import("./doctor.ts")).doctor(outside(flags)))),
  );
  program.addCommand(
    new Command("schema")
      .description("the JSON Schema of scenarios and of ledgers of deviations, for editors")
      .option(
        "--write",
        "write them to scenarios/schema.json and fixtures/known/schema.json (needs --allow-write)",
      )
      .action(async ({ write }) =>
        done((await import("./schema.ts")).schema(write ? { write } : {}))
      ),
  );
  program.addCommand(
    new Command("new")
      .description("write a commented scenario to start from (`deno task new`)")
      .argument("<name>", "as in console/greeting")
      .option("--folder <path>", "where scenarios are", "scenarios")
      .action(async (name, { folder }) =>
        done((await import("./new.ts")).newScenario(name, folder))
      ),
  );
  for (const command of [program, ...program.commands]) {
    command.exitOverride().configureOutput({ writeOut: toStdout, writeErr: toStderr });
  }
  return program;
}

/** Where to find what is outside of trivisor. */
const QEMU = ["--qemu <program>", "the QEMU to run (default: the one that is installed)"] as const;
const QEMU_MODE = [
  "--qemu-mode <mode>",
  `${QEMU_MODES.join(" (a QEMU for each case) or ")} (default: persistent)`,
  (name: string) => oneOf("mode of QEMU", name, QEMU_MODES),
] as const;
const VMM = [
  "--vmm <command>",
  "your own VMM, with its arguments: the engine external",
  command,
] as const;

const KVM = [
  "--kvm <options>",
  "what KVM does itself, beside the CPU: irqchip=kernel (interrupt controllers; default: irqchip=user), " +
  "irqfd (interrupts of virtio; with irqchip=kernel), ioeventfd (notifications of virtio)",
  kvmOptions,
] as const;

function runCommand(done: (code: ExitCode) => void) {
  return selecting("run")
    .option(...QEMU)
    .option(...QEMU_MODE)
    .option(...VMM)
    .option(...KVM)
    .description("run scenarios and judge them")
    .argument("[paths...]", "scenario files and folders (default: scenarios)")
    .option(
      "-r, --reporter <name>",
      "console or json",
      (name) => oneOf("reporter", name, REPORTERS),
    )
    .option("-o, --output <file>", "write the report there (needs --allow-write)")
    .option("-j, --jobs <n>", "workers (default: by the size of the suite)", positive("--jobs"))
    .option("--fail-fast", "stop after the first group that does not pass")
    .option("--profile <name>", "cost profile: a name, or a YAML file (default: kvm-2017)")
    .option("--known <folder>", "ledger of known deviations (default: fixtures/known)")
    .option("--overhead", "the overhead of every group, not of a few")
    .option("--allow-empty", "a run in which nothing runs is a success")
    .addHelpText("after", RUN_HELP)
    .action(async (paths, flags) => {
      done(
        await withSubjects(flags, async (subjects) => {
          const { run } = await import("./run.ts");
          return await run({
            ...selection(paths, flags),
            subjects,
            reporter: flags.reporter ?? "console",
            ...(flags.output === undefined ? {} : { output: flags.output }),
            ...(flags.jobs === undefined ? {} : { jobs: flags.jobs }),
            ...(flags.failFast ? { failFast: true } : {}),
            ...(flags.profile === undefined ? {} : { profile: flags.profile }),
            ...(flags.known === undefined ? {} : { known: flags.known }),
            ...(flags.overhead ? { overhead: true } : {}),
            ...(flags.allowEmpty ? { allowEmpty: true } : {}),
          });
        }),
      );
    });
}

function bootCommand(done: (code: ExitCode) => void) {
  return new Command("boot")
    .description("run a kernel or a ROM without a scenario, and print its console")
    .argument("<file>", "flat, ELF, multiboot, PVH, or a ROM")
    .option("-b, --backend <names>", `default: native; ${BACKENDS.join(", ")}`, backends)
    .option("--engine <names>", "default: embedded; kvm, qemu, external", engines)
    .option(...QEMU)
    .option(...QEMU_MODE)
    .option(...VMM)
    .option("--format <name>", "flat, elf, multiboot, pvh or rom (default: what it looks like)")
    .option("--memory <size>", "as in 128 MiB (default: 64 MiB)")
    .option("--cpus <n>", "1 to 8", positive("--cpus"))
    .option("--command-line <text>", "for a multiboot or PVH kernel")
    .option("--module <file>", "for the same; several times for several", words)
    .option("--instructions <n>", "at most (default: 1,000,000,000)", positive("--instructions"))
    .addHelpText("after", BOOT_HELP)
    .action(async (path, flags) => {
      const { backend, format, memory, cpus, commandLine, module, instructions } = flags;
      const { boot } = await import("./boot.ts");
      done(
        await boot(path, {
          // On another engine, what it has.
          ...(backend ? { backends: backend } : flags.engine ? {} : { backends: ["native"] }),
          engines: flags.engine ?? ["embedded"],
          outside: outside(flags),
          ...(format === undefined ? {} : { format }),
          ...(memory === undefined ? {} : { memory }),
          ...(cpus === undefined ? {} : { cpus }),
          ...(commandLine === undefined ? {} : { commandLine }),
          ...(module === undefined ? {} : { modules: module }),
          ...(instructions === undefined ? {} : { instructions }),
        }),
      );
    });
}

function costsCommand(done: (code: ExitCode) => void) {
  return new Command("costs")
    .description(
      "what exits cost on this host's KVM, and what its options change (`deno task costs`)",
    )
    .argument(
      "<what>",
      "measure, options or statistics",
      (what) => oneOf("measurement", what, COSTS_SUBJECTS),
    )
    .option("--write <file>", "measure: write a cost profile there, for --profile")
    .option("--name <name>", "measure: the profile's name (default: this-host)")
    .option("--engine <name>", "what is measured: kvm", (name) => oneOf("engine", name, ["kvm"]))
    .option("--rounds <n>", "samples of each (default: 15)", positive("--rounds"))
    .addHelpText("after", COSTS_HELP)
    .action(async (what, { write, name, rounds }) => {
      const { costs } = await import("./costs.ts");
      done(
        await costs(what, {
          ...(write === undefined ? {} : { write }),
          ...(name === undefined ? {} : { name }),
          ...(rounds === undefined ? {} : { rounds }),
        }),
      );
    });
}

function listCommand(done: (code: ExitCode) => void) {
  return selecting("list")
    .description("what would run: groups, how many subjects each has, tags")
    .argument("[paths...]", "scenario files and folders (default: scenarios)")
    .option("--cases", "every case, with the reason where it is skipped")
    .option("--json", "for programs")
    .addHelpText("after", LIST_HELP)
    .action(async (paths, flags) => {
      const { list } = await import("./list.ts");
      const { cases, json } = flags;
      done(
        await list({
          ...selection(paths, flags),
          ...(cases ? { cases } : {}),
          ...(json ? { json } : {}),
        }),
      );
    });
}

function explainCommand(done: (code: ExitCode) => void) {
  return selecting("explain")
    .description("what a case is and expands to, and why it is selected or skipped")
    .argument("<case>", "as `list` prints it, with or without @backend; or a scenario's name")
    .argument("[paths...]", "where to look for it (default: scenarios)")
    .addHelpText("after", EXPLAIN_HELP)
    .action(async (id, paths, flags) => {
      const { explain } = await import("./explain.ts");
      done(await explain(id, selection(paths, flags)));
    });
}

function traceCommand(done: (code: ExitCode) => void) {
  return new Command("trace")
    .option(...QEMU)
    .option(...QEMU_MODE)
    .option(...VMM)
    .option(...KVM)
    .description(
      "run a case and print its exits, accesses and injections, with disassembly and source",
    )
    .argument("<case>", "as in console/hello[length=5]@para")
    .argument("[paths...]", "where to look for it (default: scenarios)")
    .option("--json", "for programs")
    .option("--limit <n>", "events to print (default: 1000)", positive("--limit"))
    .option("--profile <name>", "cost profile: a name, or a YAML file (default: kvm-2017)")
    .addHelpText("after", TRACE_HELP)
    .action(async (id, paths, { json, limit, profile, ...flags }) => {
      const { trace } = await import("./trace.ts");
      done(
        await trace(id, {
          paths: paths.length > 0 ? paths : DEFAULT_PATHS,
          outside: outside(flags),
          ...(json ? { json } : {}),
          ...(limit === undefined ? {} : { limit }),
          ...(profile === undefined ? {} : { profile }),
        }),
      );
    });
}

function divergeCommand(done: (code: ExitCode) => void) {
  return selecting("diverge")
    .option(...QEMU)
    .option(...QEMU_MODE)
    .option(...VMM)
    .description("where runs of one case on several subjects first differ, with registers")
    .argument("<case>", "a group, or one of its cases, as `list` prints it")
    .argument("[paths...]", "where to look for it (default: scenarios)")
    .option("--subjects <names>", "as in full-hw@embedded,full-hw@kvm,full-bt@qemu", words)
    .option("--json", "for programs")
    .option("--profile <name>", "cost profile: a name, or a YAML file (default: kvm-2017)")
    .addHelpText("after", DIVERGE_HELP)
    .action(async (id, paths, flags) => {
      const { diverge, subjects } = await import("./diverge.ts");
      done(
        await diverge(id, {
          ...selection(paths, flags),
          outside: outside(flags),
          ...(flags.subjects ? { subjects: subjects(flags.subjects.join(",")) } : {}),
          ...(flags.json ? { json: true } : {}),
          ...(flags.profile === undefined ? {} : { profile: flags.profile }),
        }),
      );
    });
}

function agreementCommand(done: (code: ExitCode) => void) {
  return selecting("agreement")
    .option(...QEMU)
    .option(...QEMU_MODE)
    .option(...VMM)
    .description(
      "a table in Markdown: which subjects agree with the embedded engine, and where not",
    )
    .argument("[paths...]", "scenario files and folders (default: scenarios)")
    .option("--known <folder>", "ledger of known deviations (default: fixtures/known)")
    .option("--write <file>", "put it between the marks in this file (needs --allow-write)")
    .option("--mark <name>", "name of the marks, where a file has several (default: agreement)")
    .option("--no-embedded", "hold them against the scenarios and each other alone: much faster")
    .addHelpText("after", AGREEMENT_HELP)
    .action(async (paths, flags) => {
      const { agreement } = await import("./agreement.ts");
      done(
        await agreement({
          ...selection(paths, flags),
          subjects: new Subjects(outside(flags)),
          ...(flags.known === undefined ? {} : { known: flags.known }),
          ...(flags.write === undefined ? {} : { write: flags.write }),
          ...(flags.mark === undefined ? {} : { mark: flags.mark }),
          embedded: flags.embedded,
        }),
      );
    });
}

if (import.meta.main) Deno.exit(await main(Deno.args));
