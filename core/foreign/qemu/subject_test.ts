// QEMU's translator against what is known of a guest, and against guests and programs that mean harm.
import { assert, assertEquals, assertMatch } from "@std/assert";
import { fileURLToPath } from "node:url";
import type { Entry } from "../../scenario/case.ts";
import { findProgram } from "./program.ts";
import { qemuSubject } from "./subject.ts";
import { TEMPORARY } from "./leftovers.ts";
import { job } from "./testing.ts";
import type { Subject } from "../../vmm/subject.ts";
import { subjectOf } from "../../vmm/subjects.ts";

const found = await findProgram();
const reason = "absent" in found ? found.absent : undefined;
const known = { ignore: reason !== undefined };
const named = (name: string) => reason === undefined ? name : `${name} (skipped: ${reason})`;

async function withSubject(use: (subject: Subject) => Promise<void>, program?: string) {
  const made = qemuSubject("full-bt", program === undefined ? {} : { program });
  assert("subject" in made);
  try {
    await use(made.subject);
  } finally {
    await made.subject.close?.();
  }
}

function folders(): string[] {
  return [...Deno.readDirSync("/tmp")].map(({ name }) => name)
    .filter((name) => name.startsWith(TEMPORARY));
}

Deno.test("qemuSubject() has no paravirtualized guests", () => {
  for (const backend of ["native", "para", "hybrid"] as const) {
    assertMatch(JSON.stringify(qemuSubject(backend)), /absent/);
  }
});

Deno.test("probe() says why there is no QEMU", async () => {
  for (
    const [program, why] of [["/nowhere/qemu", /no program/], ["/bin/true", /version/]] as const
  ) {
    await withSubject(async (subject) => {
      const availability = await subject.probe();
      assert(!availability.available);
      assertMatch(availability.why, why);
    }, program);
  }
});

/** What a guest does to tell in which state it starts: each mode's registers, flags and tables, told by memory. */
const STATE: Readonly<Record<Entry, string>> = {
  real16: `start:
      mov   [cs:result], cs
      mov   [cs:result + 2], ss
      mov   [cs:result + 4], sp
      pushf
      pop   word [cs:result + 6]
      out   0xf4, al
    result: dq 0, 0`,
  protected32: `start:
      mov   [result], cs
      mov   [result + 2], ss
      str   [result + 4]
      sldt  [result + 6]
      mov   [result + 8], esp
      mov   eax, cr0
      mov   [result + 12], eax
      xor   eax, eax
      out   0xf4, al
    align 8
    result: dq 0, 0`,
  long64: `start:
      mov   [rel result], cs
      mov   [rel result + 2], ss
      str   [rel result + 4]
      sldt  [rel result + 6]
      mov   rax, cr4
      mov   rbx, cr0
      shl   rbx, 32
      or    rax, rbx
      mov   [rel result + 8], rax
      mov   rdx, rsp
      mov   rsi, cr3
      mov   eax, 0
      out   0xf4, al
    align 8
    result: dq 0, 0`,
};

Deno.test({
  ...known,
  name: named(
    "a guest starts in the same state as on the embedded engine, and leaves the same behind",
  ),
  fn: () =>
    withSubject(async (subject) => {
      assertEquals(await subject.probe(), { available: true });
      assertMatch(subject.version ?? "", /^\d+\.\d+/);
      const embedded = subjectOf({ backend: "full-hw", engine: "embedded" });
      assert(embedded);
      for (const [entry, text] of Object.entries(STATE) as [Entry, string][]) {
        const run = job(entry, text, { observe: { result: 16 } });
        const [ours, theirs] = [embedded.run(run), await subject.run(run)];
        assertEquals(theirs.end, ours.end, entry);
        assertEquals(theirs.final.memory, ours.final.memory, entry);
        assertEquals(
          theirs.events,
          ours.events.filter(({ type }) => type !== "exit").map((e) => ({ ...e, at: 0 })),
          entry,
        );
        for (const name of ["rax", "rbx", "rdx", "rsi", "cr0", "cr3", "cr4", "efer", "rflags"]) {
          assertEquals(
            theirs.final.registers[name],
            ours.final.registers[name],
            `${entry} ${name}`,
          );
        }
      }
    }),
});

const ENDS: readonly [what: string, text: string, end: unknown][] = [
  ["a code", "start: mov al, 200\nout 0xf4, al", { kind: "shutdown", code: 200 }],
  ["a code by DX", "start: mov al, 3\nmov dx, 0xf4\nout dx, al", { kind: "shutdown", code: 3 }],
  ["a code unseen", "start: mov al, 3\nmov dx, 0xf0\nadd dl, 4\nout dx, al\njmp start", {
    kind: "shutdown",
    code: 3,
  }],
  ["halt, all masked", "start: mov al, 0xff\nout 0x21, al\nsti\nhlt", { kind: "halt" }],
  ["halt", "start: cli\nhlt", { kind: "halt" }],
  ["triple fault", "start: lidt [rel none]\nud2\nnone: dw 0\ndq 0", { kind: "triple-fault" }],
  ["time", "start: jmp start", { kind: "limit", limit: "time" }],
  ["flood", "start: out 0x80, al\njmp start", { kind: "limit", limit: "exits" }],
];

Deno.test({
  ...known,
  name: named("run() tells how a guest ended, and what it left if it still can be asked"),
  fn: () =>
    withSubject(async (subject) => {
      await subject.probe();
      for (const [what, text, end] of ENDS) {
        const trace = await subject.run(
          job("long64", text, { limits: { wallMs: 1_500, exits: 1_000 } }),
        );
        assertEquals(trace.end, end, what);
        const lost = what === "a code unseen" || what === "flood";
        assertEquals(trace.unobserved.includes("registers"), lost, what);
        if (what === "flood") assertEquals(trace.counts.accesses.io, 1_000);
      }
    }),
});

Deno.test({
  ...known,
  name: named("the same case gives the same trace, but for the time it took"),
  fn: () =>
    withSubject(async (subject) => {
      await subject.probe();
      const text = `start:
          lea   rsi, [rel text]
          mov   ecx, 5
          pv    console_write
          rdtsc
          mov   rbx, rax
          xor   edi, edi
          pv    shutdown
        text: db "hello"`;
      const [first, second] = [
        await subject.run(job("long64", text)),
        await subject.run(job("long64", text)),
      ];
      assertEquals({ ...first, wallNs: 0 }, { ...second, wallNs: 0 });
      assertEquals(new TextDecoder().decode(first.console), "hello");
      assertEquals(first.events.filter(({ type }) => type === "console").length, 5);
    }),
});

/** Prints how the canary's run ended, in a process with the permissions of `deno task real`, less FFI. */
const RESTRICTED = `
  import { qemuSubject } from "${new URL("./subject.ts", import.meta.url)}";
  const made = qemuSubject("full-bt");
  console.log(JSON.stringify(await made.subject.probe()));
  await made.subject.close();
`;

Deno.test({
  ...known,
  name: named("neither the network nor the environment is needed"),
  fn: async () => {
    const config = fileURLToPath(new URL("../../../deno.json", import.meta.url));
    const child = new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", "--no-prompt", "--no-check", "--ignore-env", "--config", config],
        ...["--allow-read", "--allow-write", "--allow-run", "-"],
      ],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(RESTRICTED));
    await writer.close();
    const { stdout, stderr } = await child.output();
    const text = new TextDecoder().decode(stdout);
    assertEquals(text, '{"available":true}\n', new TextDecoder().decode(stderr));
  },
});

/** Stand-ins for QEMU that tell a version, and then do no good. */
const WRONG: readonly [what: string, script: string, reason: RegExp][] = [
  ["ends at once", "echo sorry >&2; exit 3", /ended with exit status 3: sorry/],
  ["is killed", "kill -SEGV $$", /SIGSEGV/],
  ["never listens", "exec sleep 1000", /time/],
  ["answers without end", "exec yes", /no end/],
  ["logs without end", "exec yes >&2", /exits|time/],
];

Deno.test({
  ignore: Deno.build.os === "windows",
  name: "a QEMU that dies, hangs or floods is a verdict, and leaves nothing behind",
  fn: async (t) => {
    const before = folders();
    const folder = await Deno.makeTempDir();
    for (const [what, script, reason] of WRONG) {
      await t.step(what, async () => {
        const path = `${folder}/qemu`;
        const version = 'if [ "$1" = --version ]; then echo "QEMU emulator version 7.2"; exit; fi';
        await Deno.writeTextFile(path, `#!/bin/sh\n${version}\n${script}\n`, { mode: 0o755 });
        await withSubject(async (subject) => {
          const availability = await subject.probe();
          assert(!availability.available);
          assertMatch(availability.why, reason);
        }, path);
      });
    }
    await Deno.remove(folder, { recursive: true });
    assertEquals(folders(), before);
  },
});
