// A genuine kvm-amd in QEMU, where no hardware has one: does it boot, and does what happens inside come out whole?
// `.ci/run` makes the guest, and runs the suite's KVM part in it.
import { assertEquals, assertStringIncludes } from "@std/assert";
import { DEFAULTS, type NestedResult, runNested } from "../../../fixtures/nested/boot.ts";

const DIRECTORY = Deno.env.get("TRIVISOR_NESTED");
const TITLE = "nested guest with kvm-amd (TRIVISOR_NESTED)";

async function run(
  command: readonly string[],
  options: { limitSeconds?: number; fetch?: readonly string[]; qemu?: boolean } = {},
): Promise<NestedResult & { readonly stdout: string; readonly stderr: string }> {
  const decoder = { stdout: new TextDecoder(), stderr: new TextDecoder() };
  const text = { stdout: "", stderr: "" };
  const result = await runNested({
    ...DEFAULTS,
    directory: DIRECTORY ?? "",
    command,
    fetch: [],
    ...options,
    onStdout: (bytes) => text.stdout += decoder.stdout.decode(bytes, { stream: true }),
    onStderr: (bytes) => text.stderr += decoder.stderr.decode(bytes, { stream: true }),
  });
  return { ...result, ...text };
}

Deno.test({
  name: `${TITLE}: a guest's OUT exits, output, files and the exit code come out`,
  ignore: !DIRECTORY,
  async fn() {
    const script = [
      "deno run --allow-ffi --cached-only fixtures/nested/probe.ts || exit 1",
      "seq 100000 >/tmp/numbers",
      "cat /tmp/numbers",
      "echo it\\'s >&2",
      "exit 42",
    ];
    const { code, stdout, stderr, files } = await run(["sh", "-c", script.join("\n")], {
      fetch: ["/tmp/numbers", "/tmp/absent"],
    });
    assertEquals({ code, stderr }, { code: 42, stderr: "it's\n" });
    assertStringIncludes(stdout, "exit 2, port 0x80");
    const numbers = Array.from({ length: 100_000 }, (_, i) => `${i + 1}\n`).join("");
    assertEquals(stdout.endsWith(numbers), true);
    assertEquals(files.map((file) => file && new TextDecoder().decode(file)), [numbers, undefined]);
  },
});

Deno.test({
  name: `${TITLE}: a QEMU inside has that KVM, and shows what its guest leaves behind`,
  ignore: !DIRECTORY,
  async fn() {
    const suite = "deno run --allow-all --cached-only core/cli/main.ts run";
    const scenario = "scenarios/compute/conditions.yaml --engine qemu --backend full-hw";
    const { code, stdout } = await run(["sh", "-c", `${suite} ${scenario}`], { qemu: true });
    // Neither breakpoints nor debug registers work there: without registers and memory the verdict would be `unobserved`.
    assertStringIncludes(stdout, "✓ compute/conditions");
    assertEquals(code, 0);
  },
});

Deno.test({
  name: `${TITLE}: a command that never ends is ended, and what it printed is kept`,
  ignore: !DIRECTORY,
  async fn() {
    const { code, why, stdout } = await run(["sh", "-c", "echo before; sleep 1000"], {
      limitSeconds: 2,
    });
    assertEquals({ code, why, stdout }, {
      code: undefined,
      why: "killed: the limit is 2 s",
      stdout: "before\n",
    });
  },
});

Deno.test({
  name: `${TITLE}: a guest whose kernel panics says so`,
  ignore: !DIRECTORY,
  async fn() {
    const { code, why } = await run(["sh", "-c", "echo c >/proc/sysrq-trigger"]);
    assertEquals(code, undefined);
    assertStringIncludes(why, "Kernel panic");
  },
});
