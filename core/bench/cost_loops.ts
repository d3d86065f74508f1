// What is measured on KVM: a loop of guest code for each kind of exit, and the loop it is compared with, which does all but
// that. One table; `costs.ts` measures it.
import type { RegisterName } from "../base/registers.ts";
import { KVM_EXIT, STRUCT } from "../engine/kvm/abi.ts";
import { VIRTIO_MMIO_BASE } from "../guest/layout.ts";
import type { BareMachine } from "./bare_machine.ts";
import { giveBack } from "./c_library.ts";

/** What of the host decides whether something can be measured. */
export interface CostHost {
  /** How KVM runs guests here: `vmx`, `svm`, `pvm`, or `kvm` where that can't be told. */
  readonly technique: string;
  /** The CPU's vendor is AMD, or one that has its instructions. */
  readonly amd: boolean;
}

/** One loop. */
export interface CostLoop {
  readonly name: string;
  /** The keys that its cost has in a profile; none: it is shown, and no profile has a place for it. */
  readonly keys: readonly string[];
  /** CPL 0 of flat 32-bit code, or CPL 3 of long mode, where I/O is allowed. */
  readonly level: "kernel" | "user";
  /** Who handles the exit. */
  readonly by: "kernel" | "user-space" | "nobody";
  /** The instructions, once an iteration; ESI is the loop's. */
  readonly body: string;
  /** Registers at entry. */
  readonly registers?: { readonly [R in RegisterName]?: bigint };
  /** Name of the loop whose time is taken off; absent: it is one of those. */
  readonly less?: string;
  /** What the figure stands for, where its name does not say it. */
  readonly how?: string;
  /** Before each sample. */
  readonly prepare?: (machine: BareMachine) => void;
  /** At each exit. */
  readonly serve?: (machine: BareMachine, reason: number) => void;
  /** What must have happened as often as the loop went round, by its own count; absent: nothing to check. */
  readonly happened?: (machine: BareMachine) => number;
  /** How often a sample goes round; absent: as often as makes a good sample. */
  readonly iterations?: number;
  /** Why it is not tried on this host. */
  readonly avoid?: (host: CostHost) => string | undefined;
}

const RUN = STRUCT.kvm_run.fields;

/** RAM of the machines, and the part of it that is given back so that touching it costs. */
export const COST_MEMORY = 16 << 20;
export const COLD = { start: 8 << 20, length: 4 << 20 } as const;
const PAGE = 4096;

/** A port without a device, and the one that ends a loop. */
const PORT = 0x80;
export const END_PORT = 0xf4;
/** An MSR that no CPU has, so that KVM asks user space; and EFER, which it handles itself. */
const NO_MSR = 0xc0ff_ee00n, EFER = 0xc000_0080n;
/** A hypercall that KVM does not have. */
const NO_HYPERCALL = 0xffffn;
/** CR0: PE, ET and NE, as the loop starts, and CD, which it switches. */
const CR0_START = 0x31n, CR0_CD = 0x4000_0000;
/** An external interrupt's vector. */
export const VECTOR = 0x25;
/** Where a device's notification register would be. */
export const DOORBELL = VIRTIO_MMIO_BASE + 0x50;

/**
 * Counts in EDI, loses ECX, and goes back without IRET, which PVM can't do at CPL 0: same privilege level, so that the frame is EIP, CS
 * and EFLAGS.
 */
export const HANDLER = `inc edi
  pop ecx
  add esp, 4
  popfd
  jmp ecx`;

const inject = (machine: BareMachine) => {
  machine.ioctl("KVM_INTERRUPT", STRUCT.kvm_interrupt, { irq: VECTOR }, "cpu");
};
const askForWindow = (machine: BareMachine, wanted: boolean) =>
  machine.page.setUint8(RUN.request_interrupt_window, wanted ? 1 : 0);
let windows = 0;

const at = (level: CostLoop["level"]) => `empty, CPL ${level === "user" ? 3 : 0}`;

/** Loops at both privilege levels, where a program may do it at both. */
function both(
  loop: Omit<CostLoop, "level" | "less" | "by">,
  by: CostLoop["by"] = "user-space",
): CostLoop[] {
  return [
    { ...loop, by, level: "kernel", less: at("kernel") },
    { ...loop, by, name: `${loop.name}, CPL 3`, level: "user", less: at("user") },
  ];
}

/** Loops at CPL 0. */
function privileged(loop: Omit<CostLoop, "level" | "less"> & { less?: string }): CostLoop {
  return { less: at("kernel"), ...loop, level: "kernel" };
}

/** All of them. Of several with the same key, the first that can be measured stands in the profile. */
export const COST_LOOPS: readonly CostLoop[] = [
  { name: at("kernel"), keys: [], level: "kernel", by: "nobody", body: "" },
  { name: at("user"), keys: [], level: "user", by: "nobody", body: "" },
  ...both({ name: "port write", keys: ["io"], body: `out 0x${PORT.toString(16)}, al` }),
  ...both({ name: "port read", keys: [], body: `in al, 0x${PORT.toString(16)}` }),
  ...both({
    name: "device memory write",
    keys: ["ept-violation", "mmio"],
    body: "mov [rdx], eax",
    registers: { rdx: BigInt(DOORBELL) },
  }),
  ...both({
    name: "device memory read",
    keys: [],
    body: "mov eax, [rdx]",
    registers: { rdx: BigInt(DOORBELL) },
  }),
  privileged({ name: "hlt", keys: ["hlt"], by: "user-space", body: "hlt" }),
  privileged({
    name: "hlt, woken by an interrupt",
    keys: [],
    by: "user-space",
    body: "sti\nhlt\ncli",
    serve: (machine, reason) => {
      if (reason === KVM_EXIT.HLT) inject(machine);
    },
    happened: (machine) => Number(machine.registers.get("rdi")),
  }),
  privileged({
    name: "rdmsr, unknown to KVM",
    keys: ["msr-read"],
    by: "user-space",
    body: "rdmsr",
    registers: { rcx: NO_MSR },
    how: "an MSR that KVM asks user space about; those that it knows cost less",
  }),
  privileged({
    name: "wrmsr, unknown to KVM",
    keys: ["msr-write"],
    by: "user-space",
    body: "wrmsr",
    registers: { rcx: NO_MSR, rax: 0n, rdx: 0n },
    how: "an MSR that KVM asks user space about; those that it knows cost less",
  }),
  privileged({
    name: "wrmsr EFER",
    keys: [],
    by: "kernel",
    body: "wrmsr",
    registers: { rcx: EFER, rax: 0n, rdx: 0n },
  }),
  ...both({
    name: "cpuid",
    keys: ["cpuid", ""],
    body: "xor eax, eax\ncpuid",
    how: "for every kind without its own figure, too",
  }, "kernel"),
  privileged({
    name: "mov to cr0",
    keys: ["cr-access"],
    by: "kernel",
    body: `xor ebx, ${CR0_CD}\nmov cr0, ebx`,
    registers: { rbx: CR0_START, cr0: CR0_START },
    how: "CR0.CD changes each time, so that no CPU lets the guest have it",
  }),
  privileged({
    name: "mov to cr3",
    keys: [],
    by: "kernel",
    body: "mov cr3, eax",
    registers: { rax: 0n },
  }),
  ...both({ name: "rdtsc", keys: ["rdtsc"], body: "rdtsc" }, "kernel"),
  privileged({ name: "invlpg", keys: ["invlpg"], by: "kernel", body: "invlpg [0x200000]" }),
  privileged({ name: "wbinvd", keys: ["wbinvd"], by: "kernel", body: "wbinvd" }),
  privileged({ name: "invd", keys: ["invd"], by: "kernel", body: "invd" }),
  ...both({ name: "pause", keys: ["pause"], body: "pause" }, "kernel"),
  ...["vmcall", "vmmcall"].map((name) =>
    privileged({
      name,
      keys: ["vmcall"],
      by: "kernel",
      body: `mov eax, ${NO_HYPERCALL}\n${name}`,
      avoid: ({ technique, amd }) =>
        technique === "pvm"
          ? "on a PVM host it never returns"
          : amd === (name === "vmcall")
          ? "it is the other vendor's instruction"
          : undefined,
    })
  ),
  privileged({
    name: "interrupt, injected at an exit",
    keys: [],
    by: "user-space",
    body: `out 0x${PORT.toString(16)}, al\nnop`,
    less: "port write",
    registers: { rflags: 0x202n },
    serve: inject,
    happened: (machine) => Number(machine.registers.get("rdi")),
  }),
  privileged({
    name: "interrupt window",
    keys: ["interrupt-window"],
    by: "user-space",
    body: `out 0x${PORT.toString(16)}, al\nsti\nnop\nnop\ncli`,
    less: "window not asked for",
    prepare: () => windows = 0,
    serve: (machine, reason) => {
      if (reason === KVM_EXIT.IRQ_WINDOW_OPEN) windows++;
      askForWindow(machine, reason !== KVM_EXIT.IRQ_WINDOW_OPEN);
    },
    happened: () => windows,
  }),
  {
    name: "window not asked for",
    keys: [],
    level: "kernel",
    by: "nobody",
    body: `out 0x${PORT.toString(16)}, al\nsti\nnop\nnop\ncli`,
    prepare: (machine) => askForWindow(machine, false),
  },
  {
    name: "first touch of a page",
    keys: [],
    level: "user",
    by: "kernel",
    body: `mov [rdi], eax\nadd rdi, ${PAGE}`,
    less: "later touch of a page",
    registers: { rdi: BigInt(COLD.start) },
    prepare: ({ ram }) => {
      giveBack(ram.address + BigInt(COLD.start), COLD.length);
    },
    iterations: COLD.length / PAGE,
  },
  {
    name: "later touch of a page",
    keys: [],
    level: "user",
    by: "nobody",
    body: `mov [rdi], eax\nadd rdi, ${PAGE}`,
    registers: { rdi: BigInt(COLD.start) },
    iterations: COLD.length / PAGE,
  },
];

/** Kinds of exit that are not measured, and why. */
export const NOT_MEASURED: Readonly<Record<string, string>> = {
  "dr-access": "KVM lets the guest have its debug registers after the first access",
  "exception": "KVM leaves exceptions to the guest, but for a few of its own",
  "xsetbv": "a guest does it once",
  "task-switch": "a guest of today does none",
  "triple-fault": "it ends the guest",
  "rdpmc": "without a performance counter it is #GP",
};
