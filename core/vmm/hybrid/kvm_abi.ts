// KVM's paravirtual interface, by the names of its headers: CPUID leaves, features, MSRs, hypercalls, error numbers, and the
// structures in guest memory. Linux, Documentation/virt/kvm/x86/{cpuid,msr,hypercalls}.rst.

/** First hypervisor leaf: EAX is the last one, EBX to EDX the signature. */
export const KVM_CPUID_SIGNATURE = 0x40000000;
/** EAX has the features. */
export const KVM_CPUID_FEATURES = 0x40000001;
/** In EBX, ECX, EDX. */
export const KVM_SIGNATURE = "KVMKVMKVM\0\0\0";

/** Bits of leaf `KVM_CPUID_FEATURES`, EAX. */
export const KVM_FEATURE = {
  CLOCKSOURCE: 0,
  NOP_IO_DELAY: 1,
  CLOCKSOURCE2: 3,
  ASYNC_PF: 4,
  STEAL_TIME: 5,
  PV_EOI: 6,
  PV_UNHALT: 7,
  PV_TLB_FLUSH: 9,
  ASYNC_PF_VMEXIT: 10,
  PV_SEND_IPI: 11,
  POLL_CONTROL: 12,
  PV_SCHED_YIELD: 13,
  ASYNC_PF_INT: 14,
  MSI_EXT_DEST_ID: 15,
  HC_MAP_GPA_RANGE: 16,
  MIGRATION_CONTROL: 17,
  CLOCKSOURCE_STABLE: 24,
} as const;

/** MSRs. The first two are the old numbers of the third and fourth. */
export const KVM_MSR = {
  WALL_CLOCK: 0x11,
  SYSTEM_TIME: 0x12,
  WALL_CLOCK_NEW: 0x4b564d00,
  SYSTEM_TIME_NEW: 0x4b564d01,
  STEAL_TIME: 0x4b564d03,
  PV_EOI_EN: 0x4b564d04,
} as const;

/** Bit 0 of the MSRs that name a structure: it is in use. */
export const KVM_MSR_ENABLED = 1n;

/** Hypercalls, by RAX; arguments in RBX, RCX, RDX, RSI. */
export const KVM_HC = {
  VAPIC_POLL_IRQ: 1,
  KICK_CPU: 5,
  CLOCK_PAIRING: 9,
  SEND_IPI: 10,
  SCHED_YIELD: 11,
  MAP_GPA_RANGE: 12,
} as const;

/** What hypercalls return, negated, on failure. */
export const KVM_ERROR = {
  EPERM: 1,
  EFAULT: 14,
  EINVAL: 22,
  EOPNOTSUPP: 95,
  ENOSYS: 1000,
} as const;

/** `struct pvclock_vcpu_time_info`: offsets, size, and the flag that says the clock is good across vCPUs. */
export const PVCLOCK = {
  version: 0,
  tscTimestamp: 8,
  systemTime: 16,
  tscToSystemMul: 24,
  tscShift: 28,
  flags: 29,
  size: 32,
  TSC_STABLE_BIT: 1,
} as const;

/** `struct pvclock_wall_clock`: the time at which the machine was started. */
export const WALL_CLOCK = { version: 0, sec: 4, nsec: 8, size: 12 } as const;

/** `struct kvm_steal_time`: time in which the vCPU could have run and did not. */
export const STEAL_TIME = { steal: 0, version: 8, flags: 12, preempted: 16, size: 64 } as const;

/** The end-of-interrupt word: set by the VMM, cleared by the guest instead of writing to the APIC. */
export const PV_EOI = { PENDING_BIT: 1, size: 4 } as const;
