// Which of KVM's own counters stand for which kinds of exit. They are coarse: some count what is not an exit of the guest's
// making, some are left out on one technique or another, and none says at which instruction.
import type { ExitKind } from "../../trace/exit.ts";

/** What a counter stands for. */
export interface StatisticMeaning {
  /** None: it counts something else than exits of one kind. */
  readonly kinds: readonly ExitKind[];
  /** What it counts, and what to mind. */
  readonly what: string;
}

/** By the names of binary statistics of a vCPU (arch/x86/kvm/x86.c, kvm_vcpu_stats_desc). */
export const STATISTIC_KINDS: Readonly<Record<string, StatisticMeaning>> = {
  exits: { kinds: [], what: "every exit of the guest, whoever handles it" },
  io_exits: { kinds: ["io"], what: "port accesses; stays 0 on PVM" },
  mmio_exits: {
    kinds: ["ept-violation", "mmio"],
    what: "accesses to device memory that user space handles",
  },
  halt_exits: { kinds: ["hlt"], what: "HLT" },
  irq_window_exits: { kinds: ["interrupt-window"], what: "the guest can take an interrupt again" },
  irq_exits: { kinds: ["external-interrupt"], what: "interrupts of the host, a kick's among them" },
  signal_exits: { kinds: ["external-interrupt"], what: "runs that a signal ended" },
  hypercalls: { kinds: ["vmcall"], what: "hypercalls that KVM knows or refuses" },
  invlpg: { kinds: ["invlpg"], what: "INVLPG; only with shadow paging" },
  pf_taken: { kinds: [], what: "page faults and EPT violations that KVM handles" },
  pf_mmio_spte_created: { kinds: [], what: "pages found to be device memory" },
  insn_emulation: { kinds: [], what: "instructions that KVM emulates; on PVM nearly all of CPL 0" },
  irq_injections: { kinds: [], what: "interrupts delivered: injections, not exits" },
  nmi_injections: { kinds: [], what: "NMIs delivered: injections, not exits" },
  halt_wakeup: { kinds: [], what: "halts that KVM waited out, with its own interrupt controller" },
};
