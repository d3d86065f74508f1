// From an interrupt controller to the guest: what is pending is injected as soon as the guest can take it, and an
// interrupt window is asked for when it can't. The same on every back end that emulates (or, natively, has) a controller.
import type { Vcpu } from "../engine/vcpu.ts";
import type { InterruptController } from "../machine/device.ts";
import type { Recorder } from "../trace/recorder.ts";

/** Delivers the interrupts of one controller to one vCPU. */
export class InterruptDelivery {
  #windowWanted = false;

  constructor(
    readonly vcpu: Vcpu,
    readonly controller: InterruptController,
    readonly recorder: Recorder,
  ) {}

  /** Call before every entry. */
  beforeEntry(): void {
    if (this.controller.pending() && this.vcpu.interruptible) {
      const vector = this.controller.acknowledge();
      this.vcpu.inject({ type: "external-interrupt", vector });
      this.recorder.injection({ kind: "external-interrupt", vector });
    }
    // Still pending: the guest can't take it now, or there was more than one. Ask to be told when it can.
    this.#wantWindow(this.controller.pending());
  }

  /** Is there an interrupt that has come since the last entry, and that the guest will not tell of when it can take it? */
  get unawaited(): boolean {
    return !this.#windowWanted && this.controller.pending();
  }

  /** An `interrupt-window` exit has answered the request. */
  windowOpened(): void {
    this.#wantWindow(false);
  }

  #wantWindow(wanted: boolean): void {
    if (wanted === this.#windowWanted) return;
    this.#windowWanted = wanted;
    this.vcpu.requestInterruptWindow(wanted);
  }
}
