// The pv-ops of a hybrid guest: the CPU as on bare hardware, devices by virtio, time and interrupts by KVM's features.
import kvmClock from "./kvm_clock.asm" with { type: "text" };
import lapicTimer from "./lapic_timer.asm" with { type: "text" };
import virtio from "./virtio.asm" with { type: "text" };
import virtioBlock from "./virtio_block.asm" with { type: "text" };
import virtioConsole from "./virtio_console.asm" with { type: "text" };
import { CPU_INLINE, CPU_UNITS } from "./native.ts";
import type { PvLibrary } from "./units.ts";

/** The library of platform `kvm`. */
export const KVM: PvLibrary = {
  inline: CPU_INLINE,
  units: [
    {
      name: "virtio_console",
      slot: 0,
      text: virtioConsole,
      provides: ["console_write"],
      needs: ["virtio"],
    },
    ...CPU_UNITS,
    {
      name: "lapic_timer",
      slot: 5,
      text: lapicTimer,
      provides: ["timer_set", "timer_periodic", "timer_stop"],
      needs: ["traps", "kvm_clock"],
    },
    {
      name: "virtio_block",
      slot: 6,
      text: virtioBlock,
      provides: ["block_read", "block_write"],
      needs: ["virtio"],
    },
    { name: "virtio", slot: 7, text: virtio, provides: [], needs: [] },
    { name: "kvm_clock", slot: 8, text: kvmClock, provides: ["time_now"], needs: [] },
  ],
};
