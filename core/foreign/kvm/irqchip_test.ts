// Interrupt controllers in the kernel: what devices raise arrives, and whoever halts is found out.
import { assert, assertEquals, assertLess } from "@std/assert";
import { gpa } from "../../base/address.ts";
import { treatments } from "../../cpu/sensitive_operations.ts";
import { type KvmOptions, kvmWith } from "../../engine/kvm/engine.ts";
import { KVM_UNAVAILABLE } from "../../engine/kvm/testing.ts";
import { bareImage, startedVcpu } from "../../engine/testing.ts";
import type { Vcpu } from "../../engine/vcpu.ts";
import { assemble } from "../../guest/asm/assemble.ts";
import { IDT_BASE, LAPIC_BASE } from "../../guest/layout.ts";
import type { EndState } from "../../trace/exit.ts";
import { runProgram } from "../../vmm/testing_runs.ts";

const KERNEL: KvmOptions = { irqchip: "kernel" };
const BOTH: readonly KvmOptions[] = [KERNEL, { irqchip: "kernel", irqfd: true }];

function test(name: string, body: () => void): void {
  Deno.test({
    name: `irqchip=kernel: ${name}${KVM_UNAVAILABLE ? `: ${KVM_UNAVAILABLE}` : ""}`,
    ignore: KVM_UNAVAILABLE !== undefined,
    fn: body,
  });
}

// ---- Lines -----------------------------------------------------------------------------------------------------------

const ORIGIN = 0x100000, LINE = 5, VECTOR = 0x20 + LINE;
/** Tells the device, so that it may lower its line; then ends the interrupt. */
const ACKNOWLEDGE = 0x80;
/** PIC at its usual vectors, only the line open; `elcr` says which lines go by the level. */
const guest = (elcr: number) =>
  `start:
  mov al, 0x11
  out 0x20, al
  mov al, 0x20
  out 0x21, al
  mov al, 4
  out 0x21, al
  mov al, 1
  out 0x21, al
  mov al, ${0xff & ~(1 << LINE)}
  out 0x21, al
  mov edx, 0x4d0
  mov al, ${elcr}
  out dx, al
  sti
wait: hlt
  jmp wait
handler:
  inc ebx
  out ${ACKNOWLEDGE}, al
  mov al, 0x20
  out 0x20, al
  iretq`;

function machine(options: KvmOptions, elcr: number): Vcpu {
  const text = guest(elcr);
  const span = { file: { name: "test", text }, start: 0, end: 0 };
  const { assembled } = assemble([{ text, span: () => span }], { bits: 64, origin: ORIGIN });
  assert(assembled);
  const table = treatments("intercepted");
  const vcpu = startedVcpu(
    kvmWith({}, options),
    bareImage({
      entry: "long64",
      memory: 2 << 20,
      start: ORIGIN,
      placed: [{ address: ORIGIN, bytes: assembled.bytes }],
    }),
    {
      controls: {
        kernel: table,
        user: table,
        exceptionVia: "vm-exit",
        exceptions: 0,
        paging: "nested",
      },
      cpuid: () => [1, 0, 0, 0],
    },
  );
  const handler = assembled.symbols["handler"] ?? 0n;
  // A 64-bit interrupt gate (SDM vol. 3, figure 6-8).
  vcpu.memory.writeU64(
    gpa(IDT_BASE + 16 * VECTOR),
    handler & 0xffffn | 0x08n << 16n | 0x8e00n << 32n | (handler >> 16n & 0xffffn) << 48n,
  );
  vcpu.set("rbx", 0n);
  return vcpu;
}

/** Until it halts, and nothing is on its way to it; how many interrupts it has had in all. */
function settled(vcpu: Vcpu, acknowledged: () => void = () => {}): number {
  for (let n = 0; n < 2_000; n++) {
    const stop = vcpu.run(Infinity, 5_000_000);
    if (stop.reason === "exit" && stop.exit.kind === "io") {
      acknowledged();
      vcpu.complete();
    } else if (stop.reason === "idle" && !vcpu.lower?.halts.wakes()) {
      return Number(vcpu.get("rbx"));
    }
  }
  throw new Error("It does not come to rest");
}

for (const options of BOTH) {
  for (
    const [trigger, elcr] of [["an edge-triggered", 0], ["a level-triggered", 1 << LINE]] as const
  ) {
    test(`${trigger} pin gets each rise, ${options.irqfd ? "by irqfd" : "by a call"}`, () => {
      const vcpu = machine(options, elcr);
      try {
        const line = vcpu.lower?.interrupts.line(LINE, "acknowledged");
        assert(line);
        assertEquals(settled(vcpu), 0);
        for (let n = 1; n <= 5; n++) {
          line.set(true);
          assertEquals(settled(vcpu, () => line.set(false)), n);
        }
        // It rises anew before the end of the interrupt: five times in a row.
        let left = 5;
        line.set(true);
        const count = settled(vcpu, () => {
          line.set(false);
          if (--left >= 0) line.set(true);
        });
        assertEquals(count, 11);
      } finally {
        vcpu.dispose();
      }
    });
  }

  test(`a rise that nobody has seen is not lost, nor is it two, ${JSON.stringify(options)}`, () => {
    const vcpu = machine(options, 0);
    try {
      const line = vcpu.lower?.interrupts.line(LINE, "acknowledged");
      assert(line);
      settled(vcpu);
      for (const level of [true, false, true]) line.set(level);
      const count = settled(vcpu, () => line.set(false));
      assert(count === 1 || count === 2, `${count}`);
    } finally {
      vcpu.dispose();
    }
  });
}

// ---- Halts -----------------------------------------------------------------------------------------------------------

const register = (offset: number, value: number | string) =>
  `mov rax, ${LAPIC_BASE + offset}\nmov dword [rax], ${value}\n`;
const lapicTimer = (entry: number, count: number) =>
  register(0xf0, 0x1ff) + register(0x3e0, 0xb) + register(0x320, entry) + register(0x380, count);
const HANDLED = "mov edi, 0x40\nlea rsi, [rel tick]\npv trap_set\n";
const TICK = `tick: inc dword [rel ticks]\n${register(0xb0, 0)}ret\nticks: dd 0`;
const PERIODIC = 1 << 17, MASKED = 1 << 16;
/** The PIT, 1 kHz. */
const PIT = "mov al, 0x34\nout 0x43, al\nmov al, 0xa9\nout 0x40, al\nmov al, 4\nout 0x40, al\n";

const HALT: EndState = { kind: "halt" }, TIME: EndState = { kind: "limit", limit: "time" };
const ENDS: readonly [what: string, program: string, end: EndState][] = [
  ["halts with interrupts off", "cli\nhlt", HALT],
  ["halts with interrupts on, and nothing to come", "sti\nhlt", HALT],
  [
    "masks interrupts and halts, while timers run",
    `${PIT}${lapicTimer(0x40 | PERIODIC, 100_000)}cli\nhlt`,
    HALT,
  ],
  ["halts with its timer masked", `${lapicTimer(0x40 | PERIODIC | MASKED, 100_000)}sti\nhlt`, HALT],
  ["waits for a timer that nobody lets through", `${PIT}sti\nhlt`, TIME],
  [
    "is woken by its timer again and again",
    `${HANDLED}${
      lapicTimer(0x40 | PERIODIC, 300_000)
    }again: sti\nhlt\ncmp dword [rel ticks], 9\njb again\n` +
    `cli\nmov edi, 3\npv shutdown\n${TICK}`,
    { kind: "shutdown", code: 3 },
  ],
  [
    "drowns in interrupts",
    `${HANDLED}${lapicTimer(0x40 | PERIODIC, 1)}sti\nagain: jmp again\n${TICK}`,
    TIME,
  ],
];
for (const [what, program, expected] of ENDS) {
  for (const options of BOTH) {
    test(`a guest that ${what} ends, ${JSON.stringify(options)}`, () => {
      const before = performance.now();
      const { end } = runProgram("hybrid", `start:\n${program}`, {
        engine: kvmWith({}, options),
        limits: { time: 300_000_000, wallMs: 10_000 },
      });
      assertEquals(end, expected);
      assertLess(performance.now() - before, 20_000);
    });
  }
}
