// Is the suite worth anything? One thing is broken in a copy of trivisor, and the shipped scenarios must notice.
import { assert, assertEquals } from "@std/assert";
import { EXIT_CODE } from "../judge/verdict.ts";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "../..");

interface Mutant {
  readonly name: string;
  readonly file: string;
  /** Stands exactly once in the file. */
  readonly from: string;
  readonly to: string;
  /** Where the suite is expected to notice; the whole suite if absent. */
  readonly scenarios?: string;
}

const MUTANTS: readonly Mutant[] = [
  {
    name: "a comparison takes equal for less",
    file: "core/cpu/translate/flags.ts",
    from: 'return "i64_lt_s";',
    to: 'return "i64_le_s";',
    scenarios: "scenarios/compute",
  },
  {
    name: "the carry of an addition is lost",
    file: "core/cpu/translate/flags.ts",
    from: '      f.get(s.dst);\n      f.get(s.src);\n      return f.op("i64_lt_u");',
    to: "      return f.i32(0);",
  },
  {
    name: "POPF always changes the interrupt flag",
    file: "core/cpu/flags.ts",
    from: "else if (cpl <= iopl(state)) mask |= BigInt(RFLAGS.IF);",
    to: "else mask |= BigInt(RFLAGS.IF);",
    scenarios: "scenarios/sensitive",
  },
  {
    name: "CPUID makes no exit",
    file: "core/cpu/sensitive_operations.ts",
    from: '"execute", "inline",  "execute", "vm-exit", "execute"),\n  "hlt"',
    to: '"execute", "inline",  "execute", "execute", "execute"),\n  "hlt"',
    scenarios: "scenarios/cpuid",
  },
  {
    name: "translated kernels don't look up indirect branches",
    file: "core/cpu/sensitive_operations.ts",
    from: '"indirect-branch":      row(false, "instruction",        "execute", "inline"',
    to: '"indirect-branch":      row(false, "instruction",        "execute", "execute"',
    scenarios: "scenarios/overhead",
  },
  {
    name: "every exit is counted twice",
    file: "core/trace/recorder.ts",
    from: "    this.counts.exits.total++;",
    to: "    this.counts.exits.total += 2;",
  },
  {
    name: "a byte written to a port arrives as a word",
    file: "core/cpu/ports.ts",
    from: "    size: bytes === 8 ? 4 : bytes,",
    to: "    size: bytes === 8 ? 4 : bytes === 1 ? 2 : bytes,",
    scenarios: "scenarios/port-io",
  },
  {
    name: "the serial port swallows every byte",
    file: "core/machine/devices/uart.ts",
    from: "    else this.sink.write(Uint8Array.of(byte));",
    to: "    else void byte;",
    scenarios: "scenarios/console",
  },
  {
    name: "interrupts are injected whatever the interrupt flag says",
    file: "core/engine/embedded/vcpu.ts",
    from: "(this.state.systemFlags & RFLAGS.IF) !== 0;",
    to: "true;",
    scenarios: "scenarios/timer",
  },
  {
    name: "a page fault tells the wrong error code",
    file: "core/cpu/mmu.ts",
    from: "(access.write ? PAGE_FAULT.W : 0) |",
    to: "",
    scenarios: "scenarios/paging",
  },
  {
    name: "shadow paging does not protect the guest's page tables",
    file: "core/vmm/shadow.ts",
    from: "    const table = this.#maps.some((map) => map.isTable(frame)) ||",
    to: "    const table = false &&",
    scenarios: "scenarios/paging",
  },
  {
    name: "virtio serves a chain that loops as if it ended",
    file: "core/machine/virtio/queue.ts",
    from: "if ((d.flags & F_NEXT) === 0) {",
    to: "if ((d.flags & F_NEXT) === 0 || count === size) {",
    scenarios: "scenarios/virtio",
  },
  {
    name: "Xen lets a guest map its page tables writable",
    file: "core/vmm/para/page_types.ts",
    from: "    if ((entry & PTE.W) === 0n) return;",
    to: "    return;",
    scenarios: "scenarios/hypercalls",
  },
];

/** A subject failed or diverged, or the broken monitor ran into its own checks. */
const NOTICED: ReadonlySet<number> = new Set([EXIT_CODE.failed, EXIT_CODE.harness]);

async function copyTree(from: string, to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  for await (const entry of Deno.readDir(from)) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory) await copyTree(source, target);
    else await Deno.copyFile(source, target);
  }
}

async function runSuite(root: string, scenarios: string): Promise<number> {
  const { code } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--no-prompt", "--no-check", "--ignore-env", "--allow-read", "core/cli/main.ts"],
      ...["run", scenarios, "--fail-fast", "--jobs", "1", "--reporter", "json"],
    ],
    cwd: root,
    stdout: "null",
    stderr: "null",
  }).output();
  return code;
}

Deno.test("the shipped suite notices what is broken in a copy of trivisor", async (t) => {
  const copy = await Deno.makeTempDir({ prefix: "trivisor-mutants-" });
  try {
    for (const folder of ["core", "fixtures", "scenarios"]) {
      await copyTree(join(ROOT, folder), join(copy, folder));
    }
    for (const file of ["deno.json", "deno.lock"]) {
      await Deno.copyFile(join(ROOT, file), join(copy, file));
    }
    assert(MUTANTS.length >= 10);
    for (const { name, file, from, to, scenarios = "scenarios" } of MUTANTS) {
      await t.step(name, async () => {
        const path = join(copy, file);
        const original = await Deno.readTextFile(path);
        assertEquals(
          original.split(from).length,
          2,
          `${file} does not have the text once: ${from}`,
        );
        try {
          await Deno.writeTextFile(path, original.replace(from, () => to));
          const code = await runSuite(copy, scenarios);
          assert(NOTICED.has(code), `the suite did not notice: exit code ${code}`);
        } finally {
          await Deno.writeTextFile(path, original);
        }
      });
    }
  } finally {
    await Deno.remove(copy, { recursive: true });
  }
});
