// The pv-ops of a bare machine: they drive the board's own devices. What the CPU does in an instruction or two stands in
// place of the call.
import ata from "./ata.asm" with { type: "text" };
import debug from "./debug.asm" with { type: "text" };
import idle from "./idle.asm" with { type: "text" };
import paging from "./paging.asm" with { type: "text" };
import pitTimer from "./pit_timer.asm" with { type: "text" };
import traps from "./traps.asm" with { type: "text" };
import uart from "./uart.asm" with { type: "text" };
import user from "./user.asm" with { type: "text" };
import type { PvLibrary, PvUnit } from "./units.ts";

/** What bare hardware and a hybrid guest do alike: its own traps, its own page tables, its own interrupt flag. */
export const CPU_INLINE: PvLibrary["inline"] = {
  // Port 0xf4: the board's debug exit, which takes a byte.
  shutdown: "mov eax, edi\nout 0xf4, al",
  cpuid: "cpuid",
  irq_mask: "cli",
  irq_unmask: "sti",
  // IF is bit 9 of RFLAGS.
  irq_masked: "pushfq\npop rax\nshr eax, 9\nnot eax\nand eax, 1",
  current_space: "mov rax, cr3",
  switch_space: "mov cr3, rdi",
  tlb_flush: "push rax\nmov rax, cr3\nmov cr3, rax\npop rax",
  fault_address: "mov rax, cr2",
};

/** Units that bare hardware and a hybrid guest share. */
export const CPU_UNITS: readonly PvUnit[] = [
  { name: "traps", slot: 1, text: traps, provides: ["trap_set"], needs: [] },
  {
    name: "user",
    slot: 2,
    text: user,
    provides: ["syscall_set", "user_enter", "user_exit"],
    needs: [],
  },
  { name: "debug", slot: 9, text: debug, provides: ["debug_set", "debug_get"], needs: [] },
  { name: "idle", slot: 3, text: idle, provides: ["wait"], needs: [] },
  {
    name: "paging",
    slot: 4,
    text: paging,
    provides: [
      "alloc_frame",
      "map_page",
      "map_user",
      "protect_page",
      "unmap_page",
      "new_space",
    ],
    needs: [],
  },
];

/** The library of platform `bare`. */
export const NATIVE: PvLibrary = {
  inline: {
    ...CPU_INLINE,
    // The board's time stamp counter runs at 1 GHz: base/clock.ts.
    time_now: "push rdx\nrdtsc\nshl rdx, 32\nor rax, rdx\npop rdx",
  },
  units: [
    { name: "uart", slot: 0, text: uart, provides: ["console_write"], needs: [] },
    ...CPU_UNITS,
    {
      name: "pit_timer",
      slot: 5,
      text: pitTimer,
      provides: ["timer_set", "timer_periodic", "timer_stop"],
      needs: ["traps"],
    },
    { name: "ata", slot: 6, text: ata, provides: ["block_read", "block_write"], needs: [] },
  ],
};
