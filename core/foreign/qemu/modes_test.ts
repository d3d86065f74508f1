// A process for many runs tells the same of a guest as one of its own, whoever was there before.
import { assert, assertEquals, assertMatch } from "@std/assert";
import type { Job, Subject } from "../../vmm/subject.ts";
import type { Trace } from "../../trace/trace.ts";
import { Random } from "../../engine/oracle/random.ts";
import { Pool } from "./pool.ts";
import { findProgram, findTimeout } from "./program.ts";
import type { QemuMode } from "./mode.ts";
import { qemuSubject } from "./subject.ts";
import { job } from "./testing.ts";

const found = await findProgram();
const reason = "absent" in found ? found.absent : undefined;
const known = { ignore: reason !== undefined };
const named = (name: string) => reason === undefined ? name : `${name} (skipped: ${reason})`;

/** Guests that leave something behind, and guests that would see it. */
const GUESTS: Readonly<Record<string, () => Job>> = {
  "reads the clocks": () =>
    job(
      "long64",
      `start: rdtsc
        mov   rbx, rax
        mov   al, 0
        out   0x43, al
        in    al, 0x40
        mov   ah, al
        in    al, 0x40
        mov   ecx, eax
        mov   al, 0
        out   0x70, al
        in    al, 0x71
        movzx edx, al
        out   0xf4, al`,
    ),
  "wakes by the timer": () =>
    job(
      "real16",
      `start: xor ax, ax
        mov   ds, ax
        mov   word [8 * 4], handler
        mov   [8 * 4 + 2], cs
        mov   al, 0x11
        out   0x20, al
        mov   al, 8
        out   0x21, al
        mov   al, 4
        out   0x21, al
        mov   al, 1
        out   0x21, al
        mov   al, 0xfe
        out   0x21, al
        mov   al, 0x30
        out   0x43, al
        mov   al, 0x10
        out   0x40, al
        out   0x40, al
        sti
        hlt
        rdtsc
        out   0xf4, al
      handler: out 0x80, al
        iret`,
    ),
  "leaves the PIC, the UART and the A20 gate otherwise": () =>
    job(
      "protected32",
      `start: mov al, 0xab
        out   0x21, al
        mov   dx, 0x3fb
        mov   al, 0x80
        out   dx, al
        mov   al, 0
        out   0x92, al
        cli
        hlt`,
    ),
  "asks the PIC and the UART": () =>
    job(
      "protected32",
      `start: in al, 0x21
        mov   bl, al
        mov   dx, 0x3fb
        in    al, dx
        mov   cl, al
        in    al, 0x92
        out   0xf4, al`,
    ),
  "writes all over its memory": () =>
    job(
      "long64",
      `start: mov edi, 0x140000
        mov   ecx, 0x80000
        mov   al, 0xcc
        rep   stosb
        mov   byte [rel start], 0x90
        out   0xf4, al`,
    ),
  "finds zeros": () =>
    job(
      "long64",
      `start: mov edi, 0x140000
        mov   ecx, 0x80000
        xor   eax, eax
        repe  scasb
        mov   ebx, [rel start]
        out   0xf4, al`,
    ),
  "ends unseen": () => job("long64", "start: mov dx, 0xf0\nadd dl, 4\nout dx, al\njmp start"),
  "asks the port that ends it": () => job("long64", "start: in al, 0xf4\nout 0xf4, al"),
  "faults at the port": () =>
    job("long64", "start: lidt [rel none]\nmov dx, 0xf4\nud2\nout dx, al\nnone: dw 0\ndq 0"),
  "has more memory": () => job("long64", "start: out 0xf4, al", { memory: 4 << 20 }),
  "sends": () =>
    job(
      "long64",
      "start: lea rsi, [rel t]\nmov ecx, 3\npv console_write\npv shutdown\nt: db 'abc'",
    ),
};

async function traces(mode: QemuMode, names: readonly string[]): Promise<Map<string, Trace>> {
  const made = qemuSubject("full-bt", { mode });
  assert("subject" in made);
  const subject: Subject = made.subject;
  const result = new Map<string, Trace>();
  try {
    assertEquals(await subject.probe(), { available: true });
    for (const name of names) {
      const made = GUESTS[name]?.();
      assert(made);
      const trace = { ...await subject.run(made), wallNs: 0 };
      const before = result.get(name);
      if (before) assertEquals(trace, before, `${mode}: ${name}, again`);
      result.set(name, trace);
    }
  } finally {
    await subject.close?.();
  }
  return result;
}

const random = new Random(2026);

function shuffled(names: readonly string[]): string[] {
  return names.map((name) => ({ name, at: random.below(1 << 30) })).sort((a, b) => a.at - b.at)
    .map(({ name }) => name);
}

Deno.test({
  ...known,
  name: named("both modes give the same traces, in whatever order"),
  fn: async () => {
    const names = Object.keys(GUESTS);
    const order = [...shuffled(names), ...shuffled(names)];
    const single = await traces("one-shot", names);
    const shared = await traces("persistent", order);
    for (const name of names) {
      assertEquals(
        shared.get(name),
        single.get(name),
        `${name}; the order was ${order.join(", ")}`,
      );
    }
    assertEquals(single.get("finds zeros")?.final.registers["rcx"], 0n);
    assertMatch(JSON.stringify(single.get("faults at the port")?.end), /triple-fault/);
  },
});

Deno.test({
  ...known,
  name: named("a process serves runs of the same memory, and nobody keeps many"),
  fn: async () => {
    assert(!("absent" in found));
    const pool = new Pool({
      program: found.path,
      accelerator: "tcg",
      mode: "persistent",
      timeout: await findTimeout(),
    });
    try {
      const pids: number[] = [];
      for (const mib of [2, 2, 4, 2, 4, 6, 8, 2]) {
        const { image } = job("long64", "start: hlt", { memory: mib << 20 });
        const process = await pool.take(image, 10_000, 1 << 20, false);
        pids.push(process.child.pid);
        await process.load(image);
        pool.give(process, image.memory);
      }
      const [a, b, c, d, e, , , last] = pids;
      assertEquals([b, d], [a, a]);
      assertEquals(e, c);
      // Three came after it.
      assert(last !== a);
    } finally {
      await pool.close();
    }
  },
});
