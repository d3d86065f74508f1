import { assertEquals } from "@std/assert";
import * as ABI from "./abi.ts";
import { IOCTL, KVM_CAP, KVM_EXIT, STRUCT } from "./abi.ts";

/** Names of the header for those numbers that are tables here. */
const GROUPS: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  KVM_CAP_: KVM_CAP,
  KVM_EXIT_: KVM_EXIT,
  KVM_SYNC_X86_: ABI.KVM_SYNC_X86,
  KVM_VCPUEVENT_VALID_: ABI.KVM_VCPUEVENT_VALID,
  KVM_MSR_EXIT_REASON_: ABI.KVM_MSR_EXIT_REASON,
  KVM_MSR_FILTER_: ABI.KVM_MSR_FILTER,
  KVM_VCPU_TSC_: ABI.KVM_VCPU_TSC,
  KVM_MP_STATE_: ABI.KVM_MP_STATE,
  KVM_IRQCHIP_: ABI.KVM_IRQCHIP,
};

/** What the header calls `u`, and a name that the union does not have. */
function member(struct: string, field: string): string {
  return struct === "kvm_run" && field === "s.regs" ? "s.regs.regs" : field;
}

/** Every number there is, by a C expression for it. */
function expected(): [expression: string, value: number][] {
  const found: [string, number][] = [];
  for (const [name, { size, fields }] of Object.entries(STRUCT)) {
    found.push([`sizeof(struct ${name})`, size]);
    for (const [field, offset] of Object.entries(fields)) {
      found.push([`offsetof(struct ${name}, ${member(name, field)})`, offset]);
    }
  }
  for (const [name, value] of Object.entries(IOCTL)) found.push([name, value]);
  for (const [prefix, values] of Object.entries(GROUPS)) {
    for (const [name, value] of Object.entries(values)) found.push([prefix + name, value]);
  }
  for (const [name, value] of Object.entries(ABI)) {
    if (typeof value === "number") found.push([name, value]);
  }
  return found;
}

const HEADERS = "#include <stddef.h>\n#include <stdio.h>\n#include <linux/kvm.h>\n";

/** Why the header can't be asked, if it can't. */
const unavailable = await (async () => {
  try {
    const { success } = await compile(`${HEADERS}int main(void) { return 0; }`);
    return success ? undefined : "there is no <linux/kvm.h> (apt-get install linux-libc-dev)";
  } catch {
    return "there is no gcc";
  }
})();

async function compile(text: string, output = "/dev/null") {
  const gcc = new Deno.Command("gcc", {
    args: ["-x", "c", "-o", output, "-"],
    stdin: "piped",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const writer = gcc.stdin.getWriter();
  await writer.write(new TextEncoder().encode(text)).catch(() => {});
  await writer.close().catch(() => {});
  const { success, stderr } = await gcc.output();
  return { success, stderr: new TextDecoder().decode(stderr) };
}

Deno.test({
  name: "KVM's structures and numbers are those of the kernel's header" +
    (unavailable ? `: ${unavailable}` : ""),
  ignore: unavailable !== undefined,
  fn: async () => {
    const table = expected();
    const prints = table.map(([expression], n) =>
      // A header older than what is asked for has no such macro: that is told, and no mistake.
      /^[A-Z]/.test(expression)
        ? `#ifdef ${expression}\nprintf("${n} %llu\\n", (unsigned long long)(${expression}));\n#endif`
        : `printf("${n} %llu\\n", (unsigned long long)${expression});`
    );
    const program = await Deno.makeTempFile();
    try {
      const text = `${HEADERS}int main(void) {\n${prints.join("\n")}\nreturn 0;\n}`;
      const { success, stderr } = await compile(text, program);
      assertEquals(success, true, stderr);
      const { stdout } = await new Deno.Command(program).output();
      const said = new Map(
        new TextDecoder().decode(stdout).trim().split("\n").map((line) => {
          const [n, value] = line.split(" ").map(Number);
          return [n ?? -1, value ?? -1];
        }),
      );
      const wrong = table.flatMap(([expression, value], n) => {
        const got = said.get(n);
        return got === undefined || got === value ? [] : [`${expression}: ${got}, not ${value}`];
      });
      assertEquals(wrong, []);
      // Enumerators can't be asked for by the preprocessor; nearly all the rest is there.
      assertEquals(said.size > table.length - 20, true, `${said.size} of ${table.length}`);
    } finally {
      await Deno.remove(program);
    }
  },
});
