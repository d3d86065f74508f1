// Whole cases under KVM's options, in turns: a guest that sends text by virtio, request by request, and halts until the device's
// interrupt tells that it is through. With monitor, devices and trace, as runs are; `options.ts` has the bare loops beside.
import { type KvmOptions, kvmWith } from "../engine/kvm/engine.ts";
import { buildGuest } from "../guest/build.ts";
import { VIRTIO_MMIO_BASE, VIRTIO_SLOTS } from "../guest/layout.ts";
import { parseScenario } from "../scenario/parse.ts";
import { plan } from "../scenario/plan.ts";
import { describeEnd } from "../trace/print.ts";
import { compiledProfile, DEFAULT_PROFILE } from "../vmm/compiled_profiles.ts";
import { hybrid } from "../vmm/hybrid/hybrid.ts";
import { runCase } from "../vmm/runner.ts";
import type { OptionResult } from "./options.ts";
import { estimate, estimateRatio } from "./statistics.ts";

/** Of one run, whatever the host. */
const SLOWEST_MS = 60_000;
const REQUESTS = 200;

/** Where the queue lies; its length; the transmit queue of the console. */
const RING = 0xa0000, AVAILABLE = RING + 0x100, USED = RING + 0x200, SIZE = 8, TRANSMIT = 1;
const VECTOR = 0x20 + VIRTIO_SLOTS.console.irq;
/** Registers of the device, as virtio 1.2, 4.2.2 has them, and what is written there first (3.1.1). */
const SETUP: readonly (readonly [offset: number, value: number])[] = [
  [0x070, 3],
  [0x024, 1],
  [0x020, 1],
  [0x070, 11],
  [0x030, TRANSMIT],
  [0x038, SIZE],
  [0x080, RING],
  [0x090, AVAILABLE],
  [0x0a0, USED],
  [0x044, 1],
  [0x070, 15],
];
/** The PIC's words (8259A datasheet), and its mask: the console's line alone. */
const PIC = [[0x20, 0x11], [0x21, 0x20], [0x21, 4], [0x21, 1], [
  0x21,
  0xff & ~(1 << VIRTIO_SLOTS.console.irq),
]] as const;

const program = (requests: number) =>
  `start:
${PIC.map(([port, value]) => `mov al, ${value}\nout ${port}, al`).join("\n")}
mov edi, ${VECTOR}
lea rsi, [rel interrupt]
pv trap_set
mov ebx, ${VIRTIO_MMIO_BASE}
${SETUP.map(([offset, value]) => `mov dword [rbx + ${offset}], ${value}`).join("\n")}
lea rax, [rel text]
mov [${RING}], rax
mov dword [${RING + 8}], 1
xor r12d, r12d
again:
inc r12d
mov [${AVAILABLE + 2}], r12w
mov dword [rbx + 0x050], ${TRANSMIT}
wait:
sti
hlt
cli
cmp [${USED + 2}], r12w
jne wait
cmp r12d, ${requests}
jb again
xor edi, edi
pv shutdown
interrupt:
mov ecx, ${VIRTIO_MMIO_BASE}
mov eax, [rcx + 0x060]
mov [rcx + 0x064], eax
mov al, 0x20
out 0x20, al
ret
text: db '.'
`;

/** All combinations that there are; the first is what the others are compared with. */
const OPTIONS: readonly KvmOptions[] = [
  { irqchip: "user" },
  { irqchip: "user", ioeventfd: true },
  { irqchip: "kernel" },
  { irqchip: "kernel", irqfd: true },
  { irqchip: "kernel", ioeventfd: true },
  { irqchip: "kernel", irqfd: true, ioeventfd: true },
];

function nameOf({ irqchip, irqfd, ioeventfd }: KvmOptions): string {
  return [`irqchip=${irqchip}`, ...irqfd ? ["irqfd"] : [], ...ioeventfd ? ["ioeventfd"] : []]
    .join();
}

/** Nanoseconds and exits a request. */
export function measureOptionCases(
  { rounds, requests = REQUESTS }: { readonly rounds: number; readonly requests?: number },
): OptionResult[] {
  const indented = program(requests).split("\n").map((line) => `    ${line}`).join("\n");
  const text = `why: Requests, to be timed\nrequires: { backend: [hybrid] }\n` +
    `guest:\n  entry: long64\n  program: |\n${indented}\n`;
  const { scenario } = parseScenario({ name: "options.yaml", text }, "options");
  const [group] = scenario ? plan(scenario, { backends: ["hybrid"], engines: ["kvm"] }) : [];
  const [subject] = group?.cases ?? [];
  const profile = compiledProfile(DEFAULT_PROFILE);
  const { image } = group ? buildGuest(group.guest, "kvm", {}) : {};
  if (!group || !subject || !profile || !image) throw new Error("The guest is no case");
  const limits = { ...group.limits, wallMs: SLOWEST_MS, time: SLOWEST_MS * 1e6 };
  const runs = OPTIONS.map((options) => ({
    loop: { operation: "request to virtio by a whole case", option: nameOf(options) },
    engine: kvmWith({}, options),
    samples: [] as number[],
    exits: 0,
    not: "",
  }));
  for (let round = -1; round < rounds; round++) {
    for (const run of runs.filter(({ not }) => not === "")) {
      const { engine } = run;
      try {
        const trace = runCase({
          group: { ...group, limits },
          subject,
          image,
          profile,
          backend: hybrid,
          engine,
        });
        if (trace.end.kind !== "shutdown") run.not = describeEnd(trace.end);
        run.exits = trace.counts.exits.total / requests;
        if (round >= 0) run.samples.push(trace.wallNs / requests);
      } catch (error) {
        run.not = error instanceof Error ? error.message : String(error);
      }
    }
  }
  const [first] = runs;
  return runs.map(({ loop, samples, exits, not }) =>
    not ? { loop, not } : {
      loop,
      ns: estimate(samples),
      ratio: estimateRatio(samples, first?.samples ?? []),
      exits,
    }
  );
}
