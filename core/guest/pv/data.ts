// Where the library keeps its data on bare and kvm: between PV_DATA_BASE and PV_DATA_END, away from its code, so that a
// store to a flag never touches a page that holds code. All zero at entry, but for the two cells that `../layout.ts` names.
import { PV_DATA_BASE, PV_DATA_END } from "../layout.ts";

/** Offset from `PV_DATA_BASE`, and bytes. */
type Cell = readonly [offset: number, size: number];

// deno-fmt-ignore
const CELLS = {
  /** 1 once the device is set up. */
  UART_READY: [0x10, 8],
  PIC_READY: [0x18, 8],
  LAPIC_READY: [0x20, 8],
  CONSOLE_READY: [0x28, 8],
  BLOCK_READY: [0x30, 8],
  /** Bit 0: KVM's features were asked for; bits 32 to 63: the answer, EAX of leaf 0x40000001. */
  KVM_FEATURES: [0x38, 8],
  CLOCK_READY: [0x40, 8],
  /** The guest's timer handler, when it is due (ns), and TIMER_OFF, TIMER_ONCE or TIMER_PERIODIC. */
  TIMER_HANDLER: [0x48, 8],
  TIMER_DEADLINE: [0x50, 8],
  TIMER_MODE: [0x58, 8],
  /** The guest's system call handler; the user's stack pointer while one is taken in. */
  SYSCALL_HANDLER: [0x60, 8],
  SYSCALL_USER_RSP: [0x68, 8],
  /** The kernel's stack pointer in user_enter. */
  USER_KERNEL_RSP: [0x70, 8],
  /** Handlers by vector, 0 to 0x80. */
  TRAP_HANDLERS: [0x400, 0x81 * 8],
  /** What KVM keeps up to date for us: the clock's page (32 bytes used) and the end-of-interrupt word. */
  KVM_CLOCK: [0x900, 0x40],
  KVM_EOI: [0x940, 0x40],
  /** Descriptors, available and used ring of one queue each. */
  CONSOLE_RING: [0x1000, 0x400],
  BLOCK_RING: [0x1400, 0x400],
  /** struct virtio_blk_req without its data: type, reserved, sector; status. */
  BLOCK_REQUEST: [0x1800, 0x20],
  /** Xen: what a hypercall's pointer leads to, and the cells that `xen_abi.asm` names. */
  XEN_DATA: [0x2000, 0x100],
  /** Devices see physical memory; what they move passes here, as a caller's buffer may be mapped anywhere. */
  CONSOLE_BOUNCE: [0x4000, 0x4000],
  BLOCK_BOUNCE: [0x8000, 0x8000],
} as const satisfies Record<string, Cell>;

/** Addresses and sizes by name, for the prelude of every unit: `NAME`, and `NAME_SIZE`. */
export function dataSymbols(): Record<string, number> {
  const symbols: Record<string, number> = {};
  for (const [name, [offset, size]] of Object.entries(CELLS)) {
    symbols[name] = PV_DATA_BASE + offset;
    symbols[`${name}_SIZE`] = size;
  }
  return symbols;
}

/** The cells, for the test that holds them apart. */
export function dataCells(): { name: string; start: number; end: number }[] {
  return Object.entries(CELLS).map(([name, [offset, size]]) => ({
    name,
    start: PV_DATA_BASE + offset,
    end: PV_DATA_BASE + offset + size,
  }));
}

/** Bytes available. */
export const PV_DATA_SIZE = PV_DATA_END - PV_DATA_BASE;
