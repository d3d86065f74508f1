// The part of KVM's ABI that is used here: structures, ioctls, and constants, each described once. `abi_test.ts` compares all of
// it with the kernel's header, <linux/kvm.h>; the ioctl numbers carry their structure's size, so that the kernel checks it too.

/** A structure in memory: its size and where its fields are, in bytes. Fields of a union are named by its member. */
export interface Layout {
  readonly size: number;
  readonly fields: Readonly<Record<string, number>>;
}

/** By the name after `struct`. */
export const STRUCT = {
  kvm_run: {
    size: 2352,
    fields: {
      request_interrupt_window: 0,
      immediate_exit: 1,
      exit_reason: 8,
      ready_for_interrupt_injection: 12,
      if_flag: 13,
      cr8: 16,
      apic_base: 24,
      "io.direction": 32,
      "io.size": 33,
      "io.port": 34,
      "io.count": 36,
      "io.data_offset": 40,
      "mmio.phys_addr": 32,
      "mmio.data": 40,
      "mmio.len": 48,
      "mmio.is_write": 52,
      "msr.error": 32,
      "msr.reason": 40,
      "msr.index": 44,
      "msr.data": 48,
      "fail_entry.hardware_entry_failure_reason": 32,
      "internal.suberror": 32,
      "internal.ndata": 36,
      "internal.data": 40,
      kvm_valid_regs: 288,
      kvm_dirty_regs: 296,
      "s.regs": 304,
    },
  },
  kvm_sync_regs: { size: 520, fields: { regs: 0, sregs: 144, events: 456 } },
  kvm_regs: {
    size: 144,
    fields: {
      rax: 0,
      rbx: 8,
      rcx: 16,
      rdx: 24,
      rsi: 32,
      rdi: 40,
      rsp: 48,
      rbp: 56,
      r8: 64,
      r9: 72,
      r10: 80,
      r11: 88,
      r12: 96,
      r13: 104,
      r14: 112,
      r15: 120,
      rip: 128,
      rflags: 136,
    },
  },
  kvm_segment: {
    size: 24,
    fields: {
      base: 0,
      limit: 8,
      selector: 12,
      type: 14,
      present: 15,
      dpl: 16,
      db: 17,
      s: 18,
      l: 19,
      g: 20,
      avl: 21,
      unusable: 22,
    },
  },
  kvm_dtable: { size: 16, fields: { base: 0, limit: 8 } },
  kvm_sregs: {
    size: 312,
    fields: {
      cs: 0,
      ds: 24,
      es: 48,
      fs: 72,
      gs: 96,
      ss: 120,
      tr: 144,
      ldt: 168,
      gdt: 192,
      idt: 208,
      cr0: 224,
      cr2: 232,
      cr3: 240,
      cr4: 248,
      cr8: 256,
      efer: 264,
      apic_base: 272,
      interrupt_bitmap: 280,
    },
  },
  kvm_vcpu_events: {
    size: 64,
    fields: {
      "exception.injected": 0,
      "exception.nr": 1,
      "exception.has_error_code": 2,
      "exception.pending": 3,
      "exception.error_code": 4,
      "interrupt.injected": 8,
      "interrupt.nr": 9,
      "interrupt.soft": 10,
      "interrupt.shadow": 11,
      "nmi.injected": 12,
      "nmi.pending": 13,
      "nmi.masked": 14,
      flags: 20,
    },
  },
  kvm_debugregs: { size: 128, fields: { db: 0, dr6: 32, dr7: 40 } },
  kvm_msrs: { size: 8, fields: { nmsrs: 0, entries: 8 } },
  kvm_msr_entry: { size: 16, fields: { index: 0, data: 8 } },
  kvm_cpuid2: { size: 8, fields: { nent: 0, entries: 8 } },
  kvm_cpuid_entry2: {
    size: 40,
    fields: { function: 0, index: 4, flags: 8, eax: 12, ebx: 16, ecx: 20, edx: 24 },
  },
  kvm_userspace_memory_region: {
    size: 32,
    fields: { slot: 0, flags: 4, guest_phys_addr: 8, memory_size: 16, userspace_addr: 24 },
  },
  kvm_enable_cap: { size: 104, fields: { cap: 0, flags: 4, args: 8 } },
  kvm_xen_hvm_config: { size: 56, fields: { flags: 0, msr: 4 } },
  kvm_msr_filter: { size: 392, fields: { flags: 0, ranges: 8 } },
  kvm_msr_filter_range: { size: 24, fields: { flags: 0, nmsrs: 4, base: 8, bitmap: 16 } },
  kvm_device_attr: { size: 24, fields: { flags: 0, group: 4, attr: 8, addr: 16 } },
  kvm_signal_mask: { size: 4, fields: { len: 0, sigset: 4 } },
  kvm_interrupt: { size: 4, fields: { irq: 0 } },
  kvm_irq_level: { size: 8, fields: { irq: 0, level: 4 } },
  kvm_irqfd: { size: 32, fields: { fd: 0, gsi: 4, flags: 8 } },
  kvm_irq_routing: { size: 8, fields: { nr: 0, entries: 8 } },
  kvm_irq_routing_entry: {
    size: 48,
    fields: { gsi: 0, type: 4, "u.irqchip.irqchip": 16, "u.irqchip.pin": 20 },
  },
  kvm_irqchip: {
    size: 520,
    fields: { chip_id: 0, "chip.pic.imr": 10, "chip.pic.elcr": 22, "chip.ioapic.redirtbl": 32 },
  },
  kvm_msi: { size: 32, fields: { address_lo: 0, address_hi: 4, data: 8 } },
  kvm_lapic_state: { size: 1024, fields: { regs: 0 } },
  kvm_ioeventfd: { size: 64, fields: { datamatch: 0, addr: 8, len: 16, fd: 20, flags: 24 } },
  kvm_mp_state: { size: 4, fields: { mp_state: 0 } },
  kvm_stats_header: {
    size: 24,
    fields: {
      flags: 0,
      name_size: 4,
      num_desc: 8,
      id_offset: 12,
      desc_offset: 16,
      data_offset: 20,
    },
  },
  kvm_stats_desc: {
    size: 16,
    fields: { flags: 0, exponent: 4, size: 6, offset: 8, bucket_size: 12, name: 16 },
  },
} as const satisfies Record<string, Layout>;

/** What the second word of an ioctl number says of its argument (asm-generic/ioctl.h): nothing, or who writes it. */
const NONE = 0, WRITE = 1, READ = 2, BOTH = 3;
/** KVM's letter among ioctls: 0xae. */
const KVMIO = 0xae;

function ioctl(number: number, direction = NONE, argument: Layout | number = 0): number {
  const size = typeof argument === "number" ? argument : argument.size;
  return (direction << 30 | size << 16 | KVMIO << 8 | number) >>> 0;
}

/** Their numbers; each takes a plain integer, or a pointer to the structure whose size it carries. */
export const IOCTL = {
  // Of /dev/kvm.
  KVM_GET_API_VERSION: ioctl(0x00),
  KVM_CREATE_VM: ioctl(0x01),
  KVM_CHECK_EXTENSION: ioctl(0x03),
  KVM_GET_VCPU_MMAP_SIZE: ioctl(0x04),
  KVM_GET_SUPPORTED_CPUID: ioctl(0x05, BOTH, STRUCT.kvm_cpuid2),
  // Of a machine.
  KVM_CREATE_VCPU: ioctl(0x41),
  KVM_SET_USER_MEMORY_REGION: ioctl(0x46, WRITE, STRUCT.kvm_userspace_memory_region),
  KVM_SET_TSS_ADDR: ioctl(0x47),
  KVM_SET_IDENTITY_MAP_ADDR: ioctl(0x48, WRITE, 8),
  KVM_CREATE_IRQCHIP: ioctl(0x60),
  KVM_IRQ_LINE: ioctl(0x61, WRITE, STRUCT.kvm_irq_level),
  KVM_GET_IRQCHIP: ioctl(0x62, BOTH, STRUCT.kvm_irqchip),
  KVM_SET_IRQCHIP: ioctl(0x63, READ, STRUCT.kvm_irqchip),
  KVM_SET_GSI_ROUTING: ioctl(0x6a, WRITE, STRUCT.kvm_irq_routing),
  KVM_IRQFD: ioctl(0x76, WRITE, STRUCT.kvm_irqfd),
  KVM_IOEVENTFD: ioctl(0x79, WRITE, STRUCT.kvm_ioeventfd),
  KVM_XEN_HVM_CONFIG: ioctl(0x7a, WRITE, STRUCT.kvm_xen_hvm_config),
  KVM_ENABLE_CAP: ioctl(0xa3, WRITE, STRUCT.kvm_enable_cap),
  KVM_SIGNAL_MSI: ioctl(0xa5, WRITE, STRUCT.kvm_msi),
  KVM_X86_SET_MSR_FILTER: ioctl(0xc6, WRITE, STRUCT.kvm_msr_filter),
  // Of a CPU.
  KVM_RUN: ioctl(0x80),
  KVM_GET_REGS: ioctl(0x81, READ, STRUCT.kvm_regs),
  KVM_GET_SREGS: ioctl(0x83, READ, STRUCT.kvm_sregs),
  KVM_INTERRUPT: ioctl(0x86, WRITE, STRUCT.kvm_interrupt),
  KVM_GET_MSRS: ioctl(0x88, BOTH, STRUCT.kvm_msrs),
  KVM_SET_MSRS: ioctl(0x89, WRITE, STRUCT.kvm_msrs),
  KVM_SET_SIGNAL_MASK: ioctl(0x8b, WRITE, STRUCT.kvm_signal_mask),
  KVM_GET_LAPIC: ioctl(0x8e, READ, STRUCT.kvm_lapic_state),
  KVM_SET_CPUID2: ioctl(0x90, WRITE, STRUCT.kvm_cpuid2),
  KVM_GET_MP_STATE: ioctl(0x98, READ, STRUCT.kvm_mp_state),
  KVM_SET_MP_STATE: ioctl(0x99, WRITE, STRUCT.kvm_mp_state),
  KVM_GET_VCPU_EVENTS: ioctl(0x9f, READ, STRUCT.kvm_vcpu_events),
  KVM_GET_DEBUGREGS: ioctl(0xa1, READ, STRUCT.kvm_debugregs),
  KVM_SET_DEBUGREGS: ioctl(0xa2, WRITE, STRUCT.kvm_debugregs),
  KVM_SET_TSC_KHZ: ioctl(0xa2),
  KVM_GET_TSC_KHZ: ioctl(0xa3),
  KVM_GET_STATS_FD: ioctl(0xce),
  KVM_SET_DEVICE_ATTR: ioctl(0xe1, WRITE, STRUCT.kvm_device_attr),
  KVM_GET_DEVICE_ATTR: ioctl(0xe2, WRITE, STRUCT.kvm_device_attr),
} as const;

/** What KVM_GET_API_VERSION has said since 2007. */
export const KVM_API_VERSION = 12;

/** `KVM_CAP_*`, as KVM_CHECK_EXTENSION takes them. */
export const KVM_CAP = {
  IRQCHIP: 0,
  USER_MEMORY: 3,
  IRQ_ROUTING: 25,
  IRQFD: 32,
  IOEVENTFD: 36,
  XEN_HVM: 38,
  VCPU_EVENTS: 41,
  DEBUGREGS: 50,
  TSC_CONTROL: 60,
  SYNC_REGS: 74,
  SIGNAL_MSI: 77,
  READONLY_MEM: 81,
  DISABLE_QUIRKS: 116,
  VCPU_ATTRIBUTES: 127,
  IMMEDIATE_EXIT: 136,
  X86_USER_SPACE_MSR: 188,
  X86_MSR_FILTER: 189,
  ENFORCE_PV_FEATURE_CPUID: 190,
  BINARY_STATS_FD: 203,
} as const;

/** `KVM_EXIT_*`: why KVM_RUN came back. */
export const KVM_EXIT = {
  IO: 2,
  HLT: 5,
  MMIO: 6,
  IRQ_WINDOW_OPEN: 7,
  SHUTDOWN: 8,
  FAIL_ENTRY: 9,
  INTR: 10,
  SET_TPR: 11,
  INTERNAL_ERROR: 17,
  X86_RDMSR: 29,
  X86_WRMSR: 30,
  XEN: 34,
} as const;

/** `io.direction`. */
export const KVM_EXIT_IO_OUT = 1;

/** `internal.suberror`: the instruction could not be emulated. */
export const KVM_INTERNAL_ERROR_EMULATION = 1;

/** Bits of `kvm_valid_regs` and `kvm_dirty_regs`. */
export const KVM_SYNC_X86 = { REGS: 1, SREGS: 2, EVENTS: 4 } as const;

/** Bits of `kvm_vcpu_events.flags`: what of it is to be set. */
export const KVM_VCPUEVENT_VALID = { NMI_PENDING: 1, SHADOW: 4 } as const;

/** What a CPU does, where its local APIC is the kernel's. */
export const KVM_MP_STATE = { RUNNABLE: 0, UNINITIALIZED: 1, INIT_RECEIVED: 2, HALTED: 3 } as const;

/** Interrupt controllers by number, and how an input is routed to a pin of theirs. */
export const KVM_IRQCHIP = { PIC_MASTER: 0, PIC_SLAVE: 1, IOAPIC: 2 } as const;
export const KVM_IRQ_ROUTING_IRQCHIP = 1;
export const KVM_IRQFD_FLAG_DEASSIGN = 1;

/** A quirk of KVM's: the page of a local APIC that is switched off answers, and does not exit. */
export const KVM_X86_QUIRK_LAPIC_MMIO_HOLE = 4;

/** Flags of a memory slot. */
export const KVM_MEM_READONLY = 2;

/** Bit of what KVM_CAP_XEN_HVM says, and flag of its configuration: VMCALL and VMMCALL come to user space, at any CPL. */
export const KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL = 2;

/** Reasons for which MSR accesses come to user space, and flags of a filter's range: what it decides on. */
export const KVM_MSR_EXIT_REASON = { INVAL: 1, UNKNOWN: 2, FILTER: 4 } as const;
export const KVM_MSR_FILTER = { READ: 1, WRITE: 2, MAX_RANGES: 16 } as const;

/** Flag of a CPUID entry: it answers for one subleaf only. */
export const KVM_CPUID_FLAG_SIGNIFCANT_INDEX = 1;

/** Attribute of a CPU: what its TSC adds to the host's. */
export const KVM_VCPU_TSC = { CTRL: 0, OFFSET: 0 } as const;
