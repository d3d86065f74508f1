// Where things are in a guest's physical memory, before its program changes that. Loaders, monitors and the assembly
// libraries agree on this page. All of it is identity-mapped at entry.

/** long64 and protected32: GDT of the loader (null, code64, data, code32, user data, user code64, TSS). */
export const GDT_BASE = 0x1000;
/** 64-bit TSS; RSP0 and IST1 point at stacks below. */
export const TSS_BASE = 0x1100;
/** IDT, empty at entry: 256 gates of 16 bytes. */
export const IDT_BASE = 0x2000;
/** PML4, PDPT, page directories: first PML4, then what it points at. */
export const PAGE_TABLES_BASE = 0x3000;
/** End (exclusive) of what the loader may use for page tables. */
export const PAGE_TABLES_END = 0x10000;
/** Data of the pv-op library (binds, rings, callback pointers): 0x10000 to 0x1ffff on bare and kvm. */
export const PV_DATA_BASE = 0x10000;
export const PV_DATA_END = 0x20000;
/** Code of the pv-op library, on every platform; only there if the guest uses pv-ops. `pv/units.ts` divides it. */
export const PV_CODE_BASE = 0x20000;
export const PV_CODE_END = 0x40000;
/** First free frame (8 bytes): what `pv alloc_frame` hands out next. The build sets it to `GuestImage.free`. */
export const PV_NEXT_FRAME = PV_DATA_BASE;
/** End (exclusive) of the frames that `pv alloc_frame` may hand out (8 bytes): the end of RAM. */
export const PV_FRAMES_END = PV_DATA_BASE + 8;
/** Initial stack pointer in protected32 and long64; grows down. */
export const STACK_TOP = 0x90000;
/** Kernel stack used on entry from user mode (RSP0), and the interrupt stack (IST1); they grow down. */
export const RSP0_TOP = 0x98000;
export const IST1_TOP = 0x9c000;
/** Where a protected32 or long64 program is loaded and starts: 1 MiB. */
export const PROGRAM_BASE = 0x100000;
/** Where a real16 program is loaded and starts, as a boot sector is: CS = 0. */
export const REAL_PROGRAM_BASE = 0x7c00;
/** Initial SP in real16. */
export const REAL_STACK_TOP = 0x7000;

/** First linear address above what a new address space shares with its parent: 512 GiB, the second PML4 entry. */
export const PRIVATE_BASE = 0x80_0000_0000;

/** Selectors in the loader's GDT. The order of 0x18 to 0x28 is what SYSRET wants (SDM vol. 3, 5.8.8). */
export const SELECTOR = {
  code64: 0x08,
  data: 0x10,
  code32: 0x18,
  userData: 0x20 | 3,
  userCode64: 0x28 | 3,
  tss: 0x30,
} as const;

/** Device memory, mapped uncached at entry in long64 (identity). */
export const VIRTIO_MMIO_BASE = 0xfeb00000;
/** Bytes between two virtio-mmio devices, and the size of each (as QEMU's microvm lays them out). */
export const VIRTIO_MMIO_STRIDE = 0x200;
export const LAPIC_BASE = 0xfee00000;
/** I/O APIC of the board around a guest from a file, where every PC has it. */
export const IOAPIC_BASE = 0xfec00000;
/** Ports of its power management: events, control and timer, where QEMU's boards have them. */
export const PM_PORTS = { event: 0x600, control: 0x604, timer: 0x608 } as const;
/** First linear address that is certain to be unmapped at entry: 1 GiB. */
export const UNMAPPED_BASE = 0x40000000;

/** virtio-mmio slot, IRQ line (PIC input) of each device. */
export const VIRTIO_SLOTS = { console: { slot: 0, irq: 5 }, block: { slot: 1, irq: 11 } } as const;

/**
 * Xen: pages that the domain builder shares with the guest, at fixed places so that the library needs no xenstore and no
 * start-of-day parsing. A guest may still find all but the last three by its start_info.
 */
export const XEN_START_INFO = 0x40000;
export const XEN_SHARED_INFO = 0x41000;
export const XEN_CONSOLE_RING = 0x42000;
export const XEN_STORE_RING = 0x43000;
export const XEN_HYPERCALL_PAGE = 0x44000;
/** Grant table (version 1) of the domain, one frame: 512 entries. */
export const XEN_GRANT_TABLE = 0x45000;
/** Ring of the block frontend, and the page its library uses for buffers that aren't sector-aligned. */
export const XEN_BLOCK_RING = 0x46000;
export const XEN_BLOCK_BOUNCE = 0x47000;
/** A page that nothing here uses: arguments of hypercalls that a scenario makes by `lib/xen.inc`. */
export const XEN_REQUEST_PAGE = 0x48000;
/** Event channels that the domain builder has bound: console and store as in start_info, and the first disk. */
export const XEN_CONSOLE_PORT = 1;
export const XEN_STORE_PORT = 2;
export const XEN_BLOCK_PORT = 3;
/** Page tables, P2M and M2P lists go here, where a PC has its video memory and ROM; to the end of RAM if they don't fit. */
export const XEN_TABLES_BASE = 0xa0000;
export const XEN_TABLES_END = 0x100000;

/** Where a ROM shows again below 1 MiB: up to there, and at most so many bytes of its end (SDM vol. 3, 10.1.4). */
export const ROM_LOW_END = 0x10_0000, ROM_LOW_BYTES = 0x2_0000;
/** Where it is mapped up to. */
export const ROM_END = 2 ** 32;
