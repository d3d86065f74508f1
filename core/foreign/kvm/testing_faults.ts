// Guests on KVM that mean no good, chosen by chance, and what is done to their VMM meanwhile.
import type { Backend } from "../../base/backend.ts";
import type { Random } from "../../engine/oracle/random.ts";
import { SubjectLacks } from "../../engine/lacks.ts";
import { UNMAPPED_BASE, VIRTIO_MMIO_BASE } from "../../guest/layout.ts";
import type { Entry, Limits } from "../../scenario/case.ts";
import type { Job, Subject } from "../../vmm/subject.ts";
import { canary } from "../canary.ts";
import type { FaultStep, FaultTrial } from "../testing_faults.ts";
import { checkGuest, guestJob, printing, WITHIN_MS } from "../testing_faults_guests.ts";
import { Hand } from "./hand.ts";
import { kvmSubject } from "./kvm.ts";
import { stoppedTrace } from "./stopped.ts";

const MAX_LETTERS = 60;
/** Milliseconds of a guest that does not end: from, and how many more. */
const LONG = { least: 20, more: 60 };
const EXITS = 3_000;
/** Runs on one subject. */
const STEPS = 25;
/** Ports that end the run, or that a PC is reset by. */
const ENDING = [0xf4, 0x64, 0x92, 0xcf9, 0x604];

const ANY = /./;
const TIME = /^stopped by the limit on time$/;
const LIMIT = /^stopped by the limit on (time|exits)$/;
const FALLS = /^(triple fault|halt|stopped by|crash|unported)/;

interface HostileGuest {
  readonly on: readonly Backend[];
  readonly end: RegExp;
  readonly entries?: readonly Entry[];
  readonly cpus?: number;
  readonly text: (random: Random) => string;
}

const ALL: readonly Backend[] = ["full-hw", "hybrid", "para"];
const HARDWARE: readonly Backend[] = ["full-hw", "hybrid"];
/** What has several CPUs begins with this. */
const SMP = 'jmp starts\n%include "lib/smp.inc"\nstarts: ';
const hex = (value: number | bigint) => `0x${value.toString(16)}`;
const lines = (count: number, line: () => string) =>
  Array.from({ length: count }, () => line()).join("\n");

/** Addresses at which something may go wrong: nowhere, at an edge, in a device, in what is the guest's. */
function address(random: Random): bigint {
  return random.pick([
    random.u64(),
    random.u64() & 0xffff_ffffn,
    BigInt(random.below(2 << 20)),
    (2n << 20n) - BigInt(random.below(16)),
    BigInt(UNMAPPED_BASE + random.below(4096)),
    BigInt(VIRTIO_MMIO_BASE + random.below(0x400)),
    0xfee0_0000n + BigInt(random.below(0x400)),
    0xffff_8000_0000_0000n,
    (1n << 64n) - BigInt(1 + random.below(16)),
  ]);
}

/** Stores into virtio's registers; the driver's status now and then, as most others need that. */
function virtioStore(random: Random): string {
  const register = random.oneIn(4) ? 0x70 : 4 * random.below(0x40);
  const value = random.oneIn(2) ? random.below(256) : Number(address(random) & 0xffff_ffffn);
  return `mov dword [rbx + ${hex(register + 0x200 * random.below(2))}], ${hex(value)}`;
}

/** Makes a device ready, then gives it queues of rubbish, and rings. */
function virtioQueue(random: Random): string {
  const slot = 0x200 * random.below(2);
  const store = (register: number, value: number) =>
    `mov dword [rbx + ${hex(slot + register)}], ${hex(value)}`;
  const low = () => random.below(2 << 20);
  return [
    ...[store(0x70, 0), store(0x70, 3), store(0x24, 1), store(0x20, 1), store(0x70, 11)],
    ...[store(0x30, random.below(3)), store(0x38, 1 << random.below(16))],
    ...[0x80, 0x90, 0xa0].flatMap((at) => [store(at, low()), store(at + 4, random.below(2))]),
    ...[store(0x44, 1), store(0x70, 15), store(0x50, random.below(3))],
  ].join("\n");
}

const GUESTS: Readonly<Record<string, HostileGuest>> = {
  "loops": { on: ALL, end: TIME, text: () => "jmp $" },
  "loops, interrupts off": { on: HARDWARE, end: TIME, text: () => "cli\njmp $" },
  "CPUs that loop, interrupts off": {
    on: HARDWARE,
    end: TIME,
    cpus: 4,
    text: () => `${SMP}start_cpus other\nother: cli\njmp $`,
  },
  "CPUs that exit": {
    on: HARDWARE,
    end: LIMIT,
    cpus: 3,
    text: () => `${SMP}start_cpus other\nother: in al, 0x80\nout 0x80, al\njmp other`,
  },
  "CPUs that halt": {
    on: HARDWARE,
    end: /^halt$/,
    cpus: 3,
    text: () => `${SMP}start_cpus other\nother: cli\nhlt\njmp other`,
  },
  "CPUs that interrupt and restart each other": {
    on: HARDWARE,
    end: ANY,
    cpus: 3,
    text: (random) =>
      `${SMP}start_cpus other\nother: apic_on\nsti\n` +
      lines(
        20,
        () =>
          `send_ipi ${random.below(4)}, ${
            random.pick(["ICR_NMI", "ICR_INIT", "ICR_OTHERS | 0x51", "0x51", "ICR_ALL | 0x52"])
          }\nmov ecx, ${random.below(2000)}\nloop $`,
      ) + "\njmp other",
  },
  "halts": { on: HARDWARE, end: /^halt$/, text: () => "cli\nhlt\njmp $" },
  "waits for nothing": {
    on: HARDWARE,
    end: /^halt$|limit on time$/,
    text: () => "sti\nhlt\njmp $",
  },
  "triple fault": {
    on: HARDWARE,
    end: /^triple fault$/,
    text: () => "lidt [rel none]\nud2\nnone: dw 0\ndq 0",
  },
  "floods the console": {
    on: ["full-hw"],
    end: LIMIT,
    text: () =>
      "again: mov dx, 0x3f8\nmov al, 'B'\nout dx, al\ninc qword [rel printed]\njmp again\n" +
      "align 8\nprinted: dq 0",
  },
  "floods the console by its pv-op": {
    on: ["hybrid", "para"],
    end: LIMIT,
    text: () =>
      "again: lea rsi, [rel text]\nmov ecx, 1\npv console_write\ninc qword [rel printed]\n" +
      "jmp again\ntext: db 'B'\nalign 8\nprinted: dq 0",
  },
  "floods a port": {
    on: HARDWARE,
    end: LIMIT,
    text: (random) => {
      const port = random.below(0x1_0000);
      const out = ENDING.includes(port) ? 0x80 : port;
      return `mov dx, ${out}\nagain: ${
        random.pick(["in al, dx", "out dx, al", "in eax, dx"])
      }\njmp again`;
    },
  },
  "floods device memory": {
    on: HARDWARE,
    end: ANY,
    text: (random) => {
      const at = random.pick([UNMAPPED_BASE, 0xd000_0000, 0xfec0_0000]) + 8 * random.below(64);
      const access = random.pick(["mov eax, [rbx]", "mov [rbx], rax", "inc dword [rbx]"]);
      return `mov ebx, ${at}\nagain: ${access}\njmp again`;
    },
  },
  "strings into a port": {
    on: HARDWARE,
    end: ANY,
    text: (random) =>
      `mov dx, ${random.pick([0x80, 0x3f8, 0x1f0])}\nagain: mov ecx, ${random.below(5000)}\n` +
      `mov rsi, ${hex(random.below(4 << 20))}\nmov rdi, rsi\n${
        random.oneIn(2) ? "rep outsb" : "rep insb"
      }\njmp again`,
  },
  "rubbish over its page tables": {
    on: HARDWARE,
    end: ANY,
    text: (random) =>
      `mov rdi, cr3\nmov rax, ${hex(random.u64())}\nmov ecx, ${512 * (1 + random.below(4))}\n` +
      `again: imul rax, rax, 0x41c64e6d\nadd rax, 12345\n${
        random.oneIn(2) ? "or" : "xor"
      } [rdi], rax\nadd rdi, ${random.pick([8, 64, 4088])}\nloop again\n` +
      `mov rax, cr3\nmov cr3, rax\nmov rax, [${hex(random.below(2 << 20))}]\njmp $`,
  },
  "random bytes": {
    on: ALL,
    entries: ["long64", "protected32", "real16"],
    end: ANY,
    text: (random) =>
      `db ${
        Array.from(random.bytes(64), (byte) => random.oneIn(6) ? 0x0f : byte).join(", ")
      }\njmp body`,
  },
  "jumps out of RAM": {
    on: ALL,
    end: ANY,
    text: (random) => `mov rax, ${hex(address(random))}\njmp rax`,
  },
  "stores and loads anywhere": {
    on: ALL,
    end: ANY,
    text: (random) =>
      lines(
        20,
        () =>
          `mov rax, ${hex(address(random))}\n${
            random.pick(["mov [rax], rax", "mov rbx, [rax]", "lock inc qword [rax]", "call rax"])
          }`,
      ) + "\njmp body",
  },
  "faults in its fault handler": {
    on: HARDWARE,
    end: ANY,
    text: (random) =>
      lines(
        64,
        () => `mov rax, ${hex(address(random))}\nmov [${hex(0x2000 + 8 * random.below(64))}], rax`,
      ) +
      `\nmov rsp, ${hex(address(random))}\nud2`,
  },
  "loops in its fault handler": {
    on: HARDWARE,
    end: FALLS,
    text: () =>
      "lea rax, [rel fault]\n" +
      [6, 8, 13, 14].map((vector) =>
        `mov edi, ${0x2000 + 16 * vector}\nmov rdx, rax\nmov [rdi], dx\nmov word [rdi+2], 8\n` +
        "mov word [rdi+4], 0x8e00\nshr rdx, 16\nmov [rdi+6], dx\nshr rdx, 16\nmov [rdi+8], edx\n" +
        "mov dword [rdi+12], 0"
      ).join("\n") + "\nfault: ud2",
  },
  "switches modes": {
    on: HARDWARE,
    end: ANY,
    text: (random) =>
      lines(12, () => {
        const bit = hex(1n << BigInt(random.below(32)));
        return random.pick([
          `mov rax, cr0\nmov ecx, ${bit}\nxor rax, rcx\nmov cr0, rax`,
          `mov rax, cr4\nmov ecx, ${bit}\nxor rax, rcx\nmov cr4, rax`,
          `mov ecx, 0xc0000080\nrdmsr\nxor eax, ${1 << random.pick([0, 8, 10, 11])}\nwrmsr`,
          `mov rax, ${hex(address(random))}\nmov cr3, rax`,
          `mov ax, ${8 * random.below(8)}\nmov ds, ax\nmov ss, ax`,
          `push ${8 * random.below(8)}\npush body\nretfq`,
        ]);
      }) + "\njmp body",
  },
  "rubbish for virtio": {
    on: ["hybrid"],
    end: ANY,
    text: (random) =>
      `mov ebx, ${hex(VIRTIO_MMIO_BASE)}\n` +
      lines(30, () => random.oneIn(5) ? virtioQueue(random) : virtioStore(random)) + "\njmp body",
  },
  "rubbish for KVM's registers": {
    on: ["hybrid"],
    end: ANY,
    text: (random) =>
      lines(20, () => {
        const at = address(random) | (random.oneIn(2) ? 1n : 0n);
        return `mov ecx, ${hex(0x4b56_4d00 + random.below(10))}\nmov eax, ${
          hex(at & 0xffff_ffffn)
        }\nmov edx, ${hex(at >> 32n)}\nwrmsr`;
      }) + "\njmp body",
  },
  "rubbish for Xen": {
    on: ["para"],
    end: ANY,
    text: (random) =>
      "body: " +
      lines(30, () =>
        ["rdi", "rsi", "rdx", "r10", "r8"].map((name) =>
          `mov ${name}, ${hex(random.oneIn(2) ? BigInt(random.below(40)) : address(random))}`
        ).join("\n") + `\nmov rax, ${hex(0x44000 + 32 * random.below(41))}\ncall rax`) +
      "\njmp body",
  },
};

/** The guests by name. */
export const GUEST_NAMES = Object.keys(GUESTS);

/** `anyEnd`: something may end it before its time. */
function step(name: string, backend: Backend, random: Random, anyEnd = false): FaultStep {
  const guest = GUESTS[name];
  if (!guest) throw new Error(`No guest ${name}`);
  const usable = guest.entries?.filter((entry) => backend === "full-hw" || entry === "long64");
  const entry = usable ? random.pick(usable) : "long64";
  const letters = 1 + random.below(MAX_LETTERS);
  const body = guest.text(random).replace(/^body: /, "");
  const text = printing(letters, entry === "long64" ? body : `body:\n${body}`, entry);
  // Its time counts from where it may have been waiting for a processor.
  const limits: Partial<Limits> = { wallMs: LONG.least + random.below(LONG.more), exits: EXITS };
  const disks = backend === "full-hw" ? [] : [{ sectors: 8, readOnly: random.oneIn(2) }];
  const job = guestJob(backend, "kvm", text, { entry, limits, disks, cpus: guest.cpus });
  // On a busy machine a limit may strike before all is printed.
  const check: FaultStep["check"] = (result) => {
    const timeUp = anyEnd || "trace" in result && result.trace.end.kind === "limit";
    try {
      checkGuest(result, { letters, end: timeUp ? ANY : guest.end, early: timeUp });
    } catch (error) {
      throw new Error(`${name} in ${entry}: ${String(error)}`, { cause: error });
    }
  };
  return { kind: name, job, within: WITHIN_MS, check };
}

/** What comes over a run from outside. */
function disturbed(subject: Subject, name: string, random: Random): FaultStep {
  const run = step(name, subject.id.backend, random, true);
  const after = random.below(LONG.least + LONG.more);
  if (random.oneIn(2)) {
    const until = { at: Infinity };
    const abort = () => performance.now() >= until.at;
    const meanwhile = () => {
      until.at = performance.now() + after;
      return Promise.resolve();
    };
    return { ...run, job: { ...run.job, abort }, meanwhile };
  }
  const meanwhile = async () => {
    await new Promise((resolve) => setTimeout(resolve, after));
    await subject.close?.();
  };
  return { ...run, meanwhile };
}

const healthy: FaultStep = {
  kind: "none",
  job: canary("real16"),
  within: WITHIN_MS,
  check: (result) => checkGuest(result, { letters: 0, end: /^shutdown 42$/ }),
};

/** A trial of guests chosen by chance, on a subject that goes on all the while. */
function subjectTrial(backend: Backend, random: Random, names: readonly string[]): FaultTrial {
  const found = kvmSubject(backend, {
    ioeventfd: random.oneIn(3),
    ...(random.oneIn(3) ? { irqchip: "kernel", irqfd: random.oneIn(2) } : {}),
  });
  if (!("subject" in found)) throw new Error(found.absent);
  const { subject } = found;
  const steps = names.map((name) => {
    if (random.oneIn(6)) return disturbed(subject, name, random);
    const run = step(name, backend, random);
    return random.oneIn(8) ? [run, step(random.pick(suited(backend)), backend, random)] : run;
  });
  const last = backend === "full-hw" ? [healthy] : [];
  return { name: `${backend}@kvm`, subject, steps: [...steps, ...last] };
}

/** One whose thread is ended in the middle of its work, without being asked. */
function threadTrial(backend: Backend, random: Random, names: readonly string[]): FaultTrial {
  const hand = new Hand();
  const subject: Subject = {
    id: { backend, engine: "kvm" },
    summary: "A thread that is given up",
    platform: "bare",
    probe: () => ({ available: true }),
    unsuited: () => undefined,
    async run({ abort: _, ...job }: Job) {
      const stop = new SharedArrayBuffer(4);
      const { guest, limits } = job.group;
      const answer = await hand.ask(
        { type: "run", backend, job: { ...job, group: { guest, limits } }, options: {}, stop },
        1 + random.below(LONG.least + LONG.more),
      );
      if (answer.type === "trace") return answer.trace;
      if (answer.type === "silent") return stoppedTrace(job);
      throw answer.type === "lacks" ? new SubjectLacks(answer.why) : new Error(answer.type);
    },
    close: () => hand.close(),
  };
  const steps = names.map((name) => step(name, backend, random));
  return { name: `${backend}@kvm, its thread ended`, subject, steps };
}

function suited(backend: Backend): string[] {
  return GUEST_NAMES.filter((name) => GUESTS[name]?.on.includes(backend));
}

/** Trials with so many runs in all, each guest at least once on each back end if there are enough. */
export function* kvmTrials(random: Random, count: number): Generator<FaultTrial> {
  const queues = ALL.map((backend) => ({ backend, left: suited(backend) }));
  for (let made = 0, n = 0; made < count; n++) {
    const queue = queues[n % queues.length];
    if (!queue) return;
    const { backend, left } = queue;
    const thread = n % 4 === 3;
    const length = Math.min(count - made, thread ? 5 : STEPS);
    const names = Array.from({ length }, () => left.shift() ?? random.pick(suited(backend)));
    yield (thread ? threadTrial : subjectTrial)(backend, random, names);
    made += length;
  }
}
