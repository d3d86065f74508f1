// `trivisor new NAME`: a scenario to start from.
import { dirname, join, relative } from "node:path";
import { EXIT_CODE, type ExitCode } from "../judge/verdict.ts";
import { Complaint } from "./complaint.ts";
import { toStdout } from "./output.ts";

/** Writes `scenarios/NAME.yaml` below `folder`; never over a file that is there. */
export function newScenario(name: string, folder: string): ExitCode {
  const clean = name.replace(/\.ya?ml$/, "");
  if (!/^[a-z0-9][a-z0-9_-]*(\/[a-z0-9][a-z0-9_-]*)*$/.test(clean)) {
    throw new Complaint(
      `"${name}" is no name for a scenario: use lower case letters, digits and dashes, as in console/hello`,
    );
  }
  const path = join(folder, `${clean}.yaml`);
  const schema = relative(dirname(path), join(folder, "schema.json")).replaceAll("\\", "/");
  try {
    Deno.mkdirSync(dirname(path), { recursive: true });
    Deno.writeTextFileSync(path, template(schema), { createNew: true });
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) throw new Complaint(`${path} is there already`);
    if (error instanceof Deno.errors.NotCapable) {
      throw new Complaint(
        `Needs permission to write ${path}. Run \`deno task new ${clean}\`, which has it below scenarios`,
      );
    }
    throw error;
  }
  toStdout(`Wrote ${path}\nRun it with \`deno task trivisor run ${path}\`\n`);
  return EXIT_CODE.ok;
}

function template(schema: string): string {
  return `# yaml-language-server: $schema=${schema}
why: >
  What this pins down, and what surprises. Say it for somebody who meets it when it fails.
tags: [smoke]
guest:
  entry: long64 # real16, protected32 or long64
  memory: 2 MiB
  # Intel syntax. Start with a label: YAML takes the indentation of the block from its first line.
  program: |
    start:
        lea   rsi, [rel text]
        mov   ecx, text_len
        pv    console_write    ; bound to a UART, a hypercall or a virtqueue when it is built
        xor   edi, edi
        pv    shutdown
    text: db "hello", 10
    text_len equ $ - text
# Of every back end:
expect:
  console: "hello\\n"
  end: { shutdown: 0 }
# And of some:
per:
  native: { exits: { counts: { total: 0 } } }
  para: { exits: { counts: { hypercall: { at-least: 1 } } } }
# What one costs beside another:
compare:
  - { metric: exits, order: [para, full-hw] }
`;
}
