// The pv-ops of a paravirtualized guest: hypercalls, events and rings of Xen's PV interface. What costs no hypercall stands
// in place of the call.
import { XEN_SHARED_INFO, XEN_START_INFO } from "../layout.ts";
import { dataSymbols } from "./data.ts";
import type { PvLibrary, PvUnit } from "./units.ts";
import abi from "./xen_abi.asm" with { type: "text" };
import block from "./xen_block.asm" with { type: "text" };
import console from "./xen_console.asm" with { type: "text" };
import debug from "./xen_debug.asm" with { type: "text" };
import events from "./xen_events.asm" with { type: "text" };
import paging from "./xen_paging.asm" with { type: "text" };
import tables from "./xen_tables.asm" with { type: "text" };
import timer from "./xen_timer.asm" with { type: "text" };
import traps from "./xen_traps.asm" with { type: "text" };
import user from "./xen_user.asm" with { type: "text" };

/** sched_op with SCHEDOP_shutdown: the one hypercall that can't go by the page, as the stack must stay as it is. */
const SHUTDOWN = { hypercall: 29, command: 2 } as const;
/** Offsets: start_info.pt_base, which the library keeps current; vcpu_info.evtchn_upcall_mask and arch.cr2. */
const PT_BASE = XEN_START_INFO + 88;
const UPCALL_MASK = XEN_SHARED_INFO + 1;
const CR2 = XEN_SHARED_INFO + 16;

const { XEN_DATA } = dataSymbols();

function unit(
  name: string,
  slot: number,
  text: string,
  provides: PvUnit["provides"],
  needs: readonly string[] = [],
): PvUnit {
  return { name: `xen_${name}`, slot, text: `${abi}\n${text}`, provides, needs };
}

/** The library of platform `xen`. */
export const XEN: PvLibrary = {
  inline: {
    shutdown: [
      `mov [${XEN_DATA}], edi`,
      `mov esi, ${XEN_DATA}`,
      `mov edi, ${SHUTDOWN.command}`,
      `mov eax, ${SHUTDOWN.hypercall}`,
      "syscall",
    ].join("\n"),
    // The forced-emulation prefix: without it CPUID would go past Xen.
    cpuid: 'db 0x0f, 0x0b, "xen"\ncpuid',
    irq_mask: `mov byte [${UPCALL_MASK}], 1`,
    irq_masked: `movzx eax, byte [${UPCALL_MASK}]`,
    current_space: `mov rax, [${PT_BASE}]`,
    fault_address: `mov rax, [${CR2}]`,
  },
  units: [
    unit("console", 0, console, ["console_write"]),
    unit("events", 1, events, ["irq_unmask", "wait"]),
    unit("traps", 2, traps, ["trap_set"]),
    unit("user", 3, user, ["syscall_set", "user_enter", "user_exit"], [
      "xen_events",
      "xen_traps",
      "xen_tables",
    ]),
    unit("tables", 7, tables, ["alloc_frame"]),
    unit("paging", 4, paging, [
      "map_page",
      "map_user",
      "protect_page",
      "unmap_page",
      "new_space",
      "switch_space",
      "tlb_flush",
    ], ["xen_tables"]),
    unit("timer", 5, timer, ["time_now", "timer_set", "timer_periodic", "timer_stop"], [
      "xen_events",
    ]),
    unit("debug", 8, debug, ["debug_set", "debug_get"]),
    unit("block", 6, block, ["block_read", "block_write"], ["xen_tables"]),
  ],
};
