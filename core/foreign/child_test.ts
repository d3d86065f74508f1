import { assert, assertEquals, assertLess, assertMatch } from "@std/assert";
import { type Child, type ChildOptions, type Line, spawnChild } from "./child.ts";

/** Long enough for anything that is expected to come. */
const SOON = 20_000;

async function withShell(
  script: string,
  use: (child: Child) => Promise<void>,
  options: Partial<ChildOptions> = {},
): Promise<void> {
  const spawned = spawnChild({ program: "/bin/sh", args: ["-c", script], ...options });
  assert("child" in spawned, "failed" in spawned ? spawned.failed : "");
  const { child } = spawned;
  try {
    await use(child);
  } finally {
    await child.end();
  }
}

async function allLines(child: Child): Promise<Line[]> {
  const lines: Line[] = [];
  for (;;) {
    const line = await child.line(SOON);
    lines.push(line);
    if (line.kind !== "line" && line.kind !== "garbled") return lines;
  }
}

const text = (number: number, text: string): Line => ({ kind: "line", text, number });

Deno.test("line() gives what a child prints, with its end", async (t) => {
  const cases: Record<string, { script: string; lines: Line[]; options?: Partial<ChildOptions> }> =
    {
      "lines, and half a one": {
        script: "printf 'one\\ntwo\\r\\n\\nhalf'",
        lines: [text(1, "one"), text(2, "two"), text(3, ""), {
          kind: "end",
          rest: "half",
          number: 4,
        }],
      },
      "nothing": { script: "exit 3", lines: [{ kind: "end", rest: "", number: 1 }] },
      "no UTF-8": {
        script: "printf '\\377\\nafter\\n'",
        lines: [{ kind: "garbled", number: 1 }, text(2, "after"), {
          kind: "end",
          rest: "",
          number: 3,
        }],
      },
      "a line without end": {
        script: "echo ok; exec cat /dev/zero",
        options: { maxLine: 1000 },
        lines: [text(1, "ok"), { kind: "flood", what: "a line without end", number: 2 }],
      },
      "lines without end": {
        script: "echo 123456789; echo 123456789; echo 123456789; sleep 60",
        options: { maxOutput: 20 },
        lines: [{ kind: "flood", what: "too much output", number: 1 }],
      },
      "errors without end": {
        script: "cat /dev/zero >&2; exit",
        options: { maxOutput: 100_000 },
        lines: [{ kind: "flood", what: "too much on stderr", number: 1 }],
      },
      "killed": {
        script: "echo a; kill -9 $$",
        lines: [text(1, "a"), { kind: "end", rest: "", number: 2 }],
      },
      "a grandchild that keeps the pipes open": {
        script: "sleep 60 & echo a",
        lines: [text(1, "a"), { kind: "end", rest: "", number: 2 }],
      },
      "a grandchild that leaves the group": {
        script: "setsid sleep 2 & sleep 0.1; echo a",
        lines: [text(1, "a"), { kind: "end", rest: "", number: 2 }],
      },
    };
  for (const [name, { script, lines, options }] of Object.entries(cases)) {
    await t.step(name, () =>
      withShell(script, async (child) => {
        const got = await allLines(child);
        // How much came before a bound was passed is a matter of chunks.
        assertEquals(
          name === "lines without end"
            ? got.slice(-1).map((line) => ({ ...line, number: 1 }))
            : got,
          lines,
        );
        assertEquals((await child.line(SOON)).kind, lines.at(-1)?.kind);
      }, options));
  }
});

Deno.test("line() that waits in vain loses nothing", () =>
  withShell("sleep 0.2; echo late; exec sleep 60", async (child) => {
    assertEquals(await child.line(10), { kind: "silence" });
    assertEquals(await child.line(0), { kind: "silence" });
    assertEquals(await child.line(SOON), text(1, "late"));
    assertEquals(await child.line(10), { kind: "silence" });
  }));

Deno.test("write() reaches the child, and tells when nobody reads", async (t) => {
  await t.step("read", () =>
    withShell("exec cat", async (child) => {
      const long = "x".repeat(1 << 20);
      const writing = child.write(`${long}\n`, SOON);
      assertEquals(await child.line(SOON), text(1, long));
      assertEquals(await writing, "written");
    }));
  await t.step("late", () =>
    withShell("exec sleep 60", async (child) => {
      assertEquals(await child.write("x".repeat(1 << 20), 50), "late");
      assertEquals(await child.write("more", 50), "late");
    }));
  await t.step("closed", () =>
    withShell("exec <&-; echo shut; exec sleep 60", async (child) => {
      assertEquals(await child.line(SOON), text(1, "shut"));
      assertEquals(await child.write("anything", SOON), "closed");
    }));
  await t.step("gone", () =>
    withShell("exit 0", async (child) => {
      await allLines(child);
      await child.end();
      assertEquals(await child.write("anything", SOON), "closed");
    }));
});

Deno.test("end() always ends", async (t) => {
  const cases: Record<string, { script: string; grace: number; how: RegExp }> = {
    "by itself": { script: "exit 3", grace: SOON, how: /^exit status 3$/ },
    "by the end of its input": {
      script: "cat >/dev/null; exit 4",
      grace: SOON,
      how: /^exit status 4$/,
    },
    "by SIGTERM": { script: "exec sleep 60", grace: 50, how: /^SIGTERM$/ },
    "by SIGKILL": {
      script: "trap '' TERM; echo; while :; do sleep 60; done",
      grace: 50,
      how: /^SIGKILL$/,
    },
    "at once": { script: "exec sleep 60", grace: 0, how: /^SIGKILL$/ },
    "while it waits to write": { script: "exec cat /dev/zero", grace: 50, how: /^SIG(TERM|PIPE)$/ },
  };
  for (const [name, { script, grace, how }] of Object.entries(cases)) {
    await t.step(name, () =>
      withShell(script, async (child) => {
        if (script.includes("trap")) await child.line(SOON);
        const ended = await child.end(grace);
        assertMatch(ended.how, how);
        assertEquals(await child.end(), ended);
        assertEquals(child.ended, ended);
      }));
  }
});

Deno.test("end() while something is written and read settles both", () =>
  withShell("exec sleep 60", async (child) => {
    const line = child.line(SOON);
    const written = child.write("x".repeat(1 << 20), SOON);
    await child.end();
    assertEquals((await line).kind, "end");
    assertEquals(await written, "closed");
  }));

Deno.test("end() takes with it what the child has started", async () => {
  let grandchild = 0;
  await withShell("sleep 60 & echo $!; wait", async (child) => {
    const line = await child.line(SOON);
    grandchild = line.kind === "line" ? Number(line.text) : 0;
  });
  assert(await isGone(grandchild), `${grandchild} is still there`);
});

Deno.test({
  name: "end() leaves no pipe, and no collector is needed for that",
  ignore: Deno.build.os !== "linux",
  fn: async (t) => {
    const descriptors = () => [...Deno.readDirSync("/proc/self/fd")].length;
    const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
    // What the first one brings with it stays.
    await withShell("exit 0", () => Promise.resolve());
    const cases: Record<string, { script: string; use?: (child: Child) => Promise<unknown> }> = {
      "it has ended, nobody has read": { script: "head -c 200000 /dev/zero; echo >&2" },
      "it has ended in the middle of a write": {
        script: "sleep 0.05; kill -9 $$",
        use: (child) => child.write("x".repeat(1 << 20), 20),
      },
      "somebody reads": {
        script: "exec sleep 60",
        use: (child) => Promise.resolve(void child.line(SOON)),
      },
      "it floods": { script: "cat /dev/zero & exec yes >&2", use: (child) => child.line(SOON) },
      "it is not read, and is killed": {
        script: "exec yes",
        use: (child) => Promise.resolve(Deno.kill(child.pid, "SIGKILL")),
      },
      "somebody else holds them": {
        script: "setsid sleep 1 & exit 0",
        use: (child) => child.line(SOON),
      },
    };
    for (const lines of ["stdout", "stderr"] as const) {
      for (const [name, { script, use }] of Object.entries(cases)) {
        await t.step(`${name}, lines on ${lines}`, async () => {
          const before = descriptors();
          await withShell(script, async (child) => {
            await use?.(child);
            await pause(50);
          }, { lines, maxOutput: 100_000 });
          for (let looks = 0; looks < 100 && descriptors() > before; looks++) await pause(10);
          assert(descriptors() <= before, `${descriptors()}, where there were ${before}`);
        });
      }
    }
  },
});

Deno.test("stderr is kept to its last 4 KiB", () =>
  withShell("i=0; while [ $i -lt 1000 ]; do echo line $i >&2; i=$((i+1)); done", async (child) => {
    await allLines(child);
    await child.end();
    assertMatch(child.stderr, /^line \d+\n/);
    assertMatch(child.stderr, /line 999\n$/);
    assertLess(child.stderr.length, 4097);
  }));

Deno.test("spawnChild() says why there is no child", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${folder}/plain`, "no program", { mode: 0o644 });
    const cases: Record<string, [ChildOptions, RegExp]> = {
      missing: [{ program: "no-such-program" }, /^there is no program no-such-program$/],
      "not executable": [{ program: `${folder}/plain` }, /plain may not be executed$/],
      "an impossible argument": [{ program: "true", args: ["a\0b"] }, /^true can't be started: /],
    };
    for (const [name, [options, message]] of Object.entries(cases)) {
      const spawned = spawnChild(options);
      assertMatch("failed" in spawned ? spawned.failed : `${name} started`, message);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("spawnChild() without permission says so", {
  permissions: { run: ["/bin/sh"] },
}, () => {
  const spawned = spawnChild({ program: "true" });
  assertMatch("failed" in spawned ? spawned.failed : "started", /no permission to run true/);
});

Deno.test("what ends this process ends its children first", async (t) => {
  const program = `
    import { spawnChild } from ${JSON.stringify(new URL("./child.ts", import.meta.url).href)};
    const spawned = spawnChild({ program: "/bin/sh", args: ["-c", "sleep 60 & echo $$; wait"] });
    if ("child" in spawned) {
      await spawned.child.line(10_000);
      Deno.stdout.writeSync(new TextEncoder().encode(spawned.child.pid + "\\n"));
      LAST;
      await spawned.child.line(60_000);
    }`;
  const cases: Record<string, { last?: string; signal?: Deno.Signal }> = {
    "SIGINT": { signal: "SIGINT" },
    "SIGTERM": { signal: "SIGTERM" },
    "SIGHUP": { signal: "SIGHUP" },
    "Deno.exit": { last: "Deno.exit(3)" },
    "an error": { last: 'throw new Error("a defect")' },
    "an error later": { last: 'setTimeout(() => { throw new Error("a defect") })' },
  };
  for (const [name, { last = "", signal }] of Object.entries(cases)) {
    await t.step(name, async () => {
      const outer = new Deno.Command(Deno.execPath(), {
        args: ["run", "--allow-all", "--no-lock", "--no-check", "-"],
        stdin: "piped",
        stdout: "piped",
        stderr: "null",
      }).spawn();
      const writer = outer.stdin.getWriter();
      await writer.write(new TextEncoder().encode(program.replace("LAST", last)));
      await writer.close();
      const reader = outer.stdout.getReader();
      const { value } = await reader.read();
      const pid = Number(new TextDecoder().decode(value));
      if (signal) outer.kill(signal);
      const status = await outer.status;
      assertEquals(status.signal, signal ?? null);
      assert(!status.success);
      await reader.cancel();
      assert(await isGone(pid), `${pid} is still there`);
    });
  }
});

/** It dies in its own time, and its new parent may be slow to ask for its status. */
async function isGone(pid: number): Promise<boolean> {
  for (let tries = 0; tries < 200; tries++) {
    const state = await Deno.readTextFile(`/proc/${pid}/stat`).catch(() => "gone");
    if (/^gone$|\) Z /.test(state)) return true;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return false;
}

Deno.test("bytes() gives what a child prints where its errors are the lines", async (t) => {
  const options = { lines: "stderr", maxOutput: 100_000 } as const;
  await t.step("both ways", () =>
    withShell("echo log >&2; exec cat", async (child) => {
      assertEquals(await child.line(SOON), text(1, "log"));
      const sent = Uint8Array.of(0, 10, 255);
      assertEquals(await child.write(sent, SOON), "written");
      assertEquals(await child.bytes(), sent);
    }, options));
  await t.step("its end", () =>
    withShell("printf ab; setsid sleep 2 & exit", async (child) => {
      assertEquals(new TextDecoder().decode(await child.bytes()), "ab");
      assertEquals(await child.bytes(), undefined);
    }, options));
  await t.step("bytes without end", () =>
    withShell("exec cat /dev/zero", async (child) => {
      let total = 0;
      for (let chunk; (chunk = await child.bytes());) total += chunk.length;
      assertLess(total, 1 << 20);
    }, options));
});
