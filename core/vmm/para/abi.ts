// Numbers and offsets of Xen's PV interface, x86-64, by the names of its public headers (xen/include/public). Nothing here
// is trivisor's choice.

/** Hypercall numbers (xen.h). */
export const HYPERCALL = {
  set_trap_table: 0,
  mmu_update: 1,
  set_gdt: 2,
  stack_switch: 3,
  set_callbacks: 4,
  fpu_taskswitch: 5,
  platform_op: 7,
  set_debugreg: 8,
  get_debugreg: 9,
  update_descriptor: 10,
  memory_op: 12,
  multicall: 13,
  update_va_mapping: 14,
  set_timer_op: 15,
  xen_version: 17,
  console_io: 18,
  grant_table_op: 20,
  vm_assist: 21,
  iret: 23,
  vcpu_op: 24,
  set_segment_base: 25,
  mmuext_op: 26,
  nmi_op: 28,
  sched_op: 29,
  callback_op: 30,
  event_channel_op: 32,
  physdev_op: 33,
  hvm_op: 34,
} as const;
export type HypercallName = keyof typeof HYPERCALL;

/** Error numbers; a hypercall returns them negated (errno.h). */
export const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  E2BIG: 7,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  ENODEV: 19,
  EINVAL: 22,
  ENOSPC: 28,
  ENOSYS: 38,
  EOPNOTSUPP: 95,
} as const;

/** The version this interface is said to be: 4.17. */
export const XEN_VERSION = { major: 4, minor: 17, extra: ".0-trivisor" } as const;

/** The domain itself, in hypercalls that name one (xen.h). */
export const DOMID_SELF = 0x7ff0;
/** Who is at the other end of consoles and disks. */
export const DOM0 = 0;

/** Segments that Xen's GDT has for guests (arch-x86/xen-x86_64.h). */
export const FLAT = { cs64: 0xe033, cs32: 0xe023, ss: 0xe02b } as const;
/** First selector of Xen's own part of the GDT: entries below it are the guest's (arch-x86/xen.h). */
export const FIRST_RESERVED_GDT_ENTRY = 14 * 512;

/** The hole in the linear address space that belongs to Xen, top-level slots 256 to 271 (arch-x86/xen-x86_64.h). */
export const XEN_SLOTS = { first: 256, last: 271 } as const;
export const HYPERVISOR_VIRT_START = 0xffff_8000_0000_0000n;
export const HYPERVISOR_VIRT_END = 0xffff_8800_0000_0000n;
/** The machine-to-physical list, readable by guests. */
export const MACH2PHYS_VIRT_START = HYPERVISOR_VIRT_START;
/** Xen's per-domain area; the GDT lies at its start. Guests have no access. Slot 260, as in Xen's own layout. */
export const GDT_VIRT_START = 0xffff_8200_0000_0000n;

/** struct start_info: offsets (xen.h). */
export const START_INFO = {
  magic: 0,
  nr_pages: 32,
  shared_info: 40,
  flags: 48,
  store_mfn: 56,
  store_evtchn: 64,
  console_mfn: 72,
  console_evtchn: 80,
  pt_base: 88,
  nr_pt_frames: 96,
  mfn_list: 104,
  first_p2m_pfn: 1152,
  nr_p2m_frames: 1160,
} as const;

/** struct shared_info and the vcpu_info at its start: offsets (xen.h, arch-x86/xen.h). */
export const SHARED_INFO = { evtchn_pending: 0x800, evtchn_mask: 0xa00, wallclock: 0xc00 } as const;
export const VCPU_INFO = {
  evtchn_upcall_pending: 0,
  evtchn_upcall_mask: 1,
  evtchn_pending_sel: 8,
  cr2: 16,
  time: 32,
  size: 64,
} as const;
/** struct vcpu_time_info: offsets. */
export const TIME_INFO = {
  version: 0,
  tsc_timestamp: 8,
  system_time: 16,
  tsc_to_system_mul: 24,
  tsc_shift: 28,
} as const;

/** Event channels of a domain under the two-level ABI: 64 x 64 (event_channel.h). Bits of one word. */
export const EVENT_CHANNELS = 4096;
export const EVENTS_PER_WORD = 64;

/** Commands, by hypercall. */
export const EVTCHNOP = {
  bind_interdomain: 0,
  bind_virq: 1,
  bind_pirq: 2,
  close: 3,
  send: 4,
  status: 5,
  alloc_unbound: 6,
  bind_ipi: 7,
  bind_vcpu: 8,
  unmask: 9,
  reset: 10,
} as const;
export const EVTCHNSTAT = { closed: 0, unbound: 1, interdomain: 2, virq: 4, ipi: 5 } as const;
export const VIRQ = { TIMER: 0, DEBUG: 1, CONSOLE: 2 } as const;
/** Virtual interrupts there are (NR_VIRQS). */
export const NR_VIRQS = 24;
export const SCHEDOP = { yield: 0, block: 1, shutdown: 2, poll: 3 } as const;
export const SHUTDOWN = { poweroff: 0, reboot: 1, suspend: 2, crash: 3, watchdog: 4 } as const;
export const VCPUOP = {
  is_up: 3,
  get_runstate_info: 4,
  register_runstate_memory_area: 5,
  set_periodic_timer: 6,
  stop_periodic_timer: 7,
  set_singleshot_timer: 8,
  stop_singleshot_timer: 9,
  register_vcpu_info: 10,
  register_vcpu_time_memory_area: 13,
} as const;
/** VCPUOP_set_singleshot_timer: fail if the time is past (vcpu.h). */
export const VCPU_SSHOTTMR_future = 1;
export const CONSOLEIO = { write: 0, read: 1 } as const;
export const CALLBACKOP = { register: 0, unregister: 1 } as const;
export const CALLBACKTYPE = { event: 0, failsafe: 1, syscall: 2, nmi: 4 } as const;
export const CALLBACKF_mask_events = 1;
export const SEGBASE = { FS: 0, GS_USER: 1, GS_KERNEL: 2, GS_USER_SEL: 3 } as const;
export const MMUEXT = {
  PIN_L1_TABLE: 0,
  PIN_L2_TABLE: 1,
  PIN_L3_TABLE: 2,
  PIN_L4_TABLE: 3,
  UNPIN_TABLE: 4,
  NEW_BASEPTR: 5,
  TLB_FLUSH_LOCAL: 6,
  INVLPG_LOCAL: 7,
  TLB_FLUSH_MULTI: 8,
  INVLPG_MULTI: 9,
  TLB_FLUSH_ALL: 10,
  INVLPG_ALL: 11,
  FLUSH_CACHE: 12,
  SET_LDT: 13,
  NEW_USER_BASEPTR: 15,
  CLEAR_PAGE: 16,
  COPY_PAGE: 17,
} as const;
/** Low two bits of mmu_update's pointer. */
export const MMU_UPDATE = { NORMAL: 0, MACHPHYS: 1, PRESERVE_AD: 2 } as const;
/** Low two bits of update_va_mapping's flags. */
export const UVMF = { NONE: 0, TLB_FLUSH: 1, INVLPG: 2 } as const;
export const XENVER = {
  version: 0,
  extraversion: 1,
  capabilities: 3,
  changeset: 4,
  platform_parameters: 5,
  get_features: 6,
  pagesize: 7,
  guest_handle: 8,
} as const;
/** Feature bits of submap 0 that hold here: mmu_pt_update_preserve_ad, gnttab_map_avail_bits (features.h). */
export const XENFEAT_SUBMAP_0 = 1 << 5 | 1 << 7;
export const VMASST = { enable: 0, disable: 1 } as const;
export const VMASST_TYPE_writable_pagetables = 2;
export const XENMEM = {
  maximum_ram_page: 2,
  current_reservation: 3,
  maximum_reservation: 4,
  memory_map: 9,
  machphys_mapping: 12,
} as const;
export const GNTTABOP = { setup_table: 2, query_size: 6, get_version: 10 } as const;
export const PHYSDEVOP = { set_iopl: 6, set_iobitmap: 7 } as const;

/** The upper bits of the flags word in an iret frame: it returns from a system call, so RCX and R11 are not restored. */
export const VGCF_in_syscall = 0x100n;
/** struct trap_info flags: DPL in bits 0 and 1, and "mask events on entry". */
export const TRAP_INFO = { dpl: 3, maskEvents: 4 } as const;

/** Grant entry, version 1 (grant_table.h): u16 flags, u16 domain, u32 frame. */
export const GRANT_ENTRY_SIZE = 8;
export const GTF = { type: 3, permit_access: 1, readonly: 4, reading: 8, writing: 16 } as const;

/** Xen's CPUID leaves (arch-x86/cpuid.h): the forced-emulation prefix is UD2 and "xen". */
export const XEN_CPUID_BASE = 0x40000000;
export const XEN_CPUID_SIGNATURE = "XenVMMXenVMM";
export const FORCED_CPUID = Uint8Array.of(0x0f, 0x0b, 0x78, 0x65, 0x6e, 0x0f, 0xa2);
