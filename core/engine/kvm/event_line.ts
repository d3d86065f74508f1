// irqfd: an interrupt line that is raised by adding to an event counter (api.rst, KVM_IRQFD). What the kernel makes of it is a
// pulse, up and down again. To an edge-triggered pin that is all there is to tell: the device raises its line anew for what
// comes after an acknowledgement (virtio 1.2, 4.2.2, InterruptStatus and InterruptACK), and each rise is a pulse, latched where a
// pin is in service; two that become one before the guest has seen either are one interrupt to a line as well. A level-triggered
// pin loses a pulse: it gets the level, by the call that sets one, as soon as a look finds it to be so.
//
// The other way that KVM has, a line that stays up until the end of the interrupt (RESAMPLE), would lose edges: one that a guest
// has acknowledged by polling, with the pin masked, never ends.
import type { InterruptLine } from "../../machine/device.ts";
import { KVM_IRQFD_FLAG_DEASSIGN, STRUCT } from "./abi.ts";
import type { KvmMachine } from "./machine.ts";

/** What it needs of the controllers. */
export interface LevelInputs {
  raise(input: number, level: boolean): void;
  isLevelTriggered(input: number): boolean;
}

export class EventLine implements InterruptLine {
  readonly #machine: KvmMachine;
  readonly #inputs: LevelInputs;
  readonly #input: number;
  readonly #counter: number;
  #level = false;
  /** The pin has been given the level itself. */
  #held = false;
  /** The kernel, which injects in a thread of its own, may not have done so yet. */
  #sent = false;

  constructor(machine: KvmMachine, inputs: LevelInputs, input: number) {
    this.#machine = machine;
    this.#inputs = inputs;
    this.#input = input;
    this.#counter = machine.system.libc.eventCounter();
    this.#assign(0);
  }

  #assign(flags: number): void {
    const { size, fields } = STRUCT.kvm_irqfd;
    const view = new DataView(new ArrayBuffer(size));
    view.setUint32(fields.fd, this.#counter, true);
    view.setUint32(fields.gsi, this.#input, true);
    view.setUint32(fields.flags, flags, true);
    this.#machine.ioctlWith("KVM_IRQFD", new Uint8Array(view.buffer));
  }

  set(level: boolean): void {
    if (level === this.#level) return;
    this.#level = level;
    if (level) {
      this.#machine.system.libc.addCount(this.#counter);
      this.#sent = true;
    } else if (this.#held) {
      this.#held = false;
      this.#inputs.raise(this.#input, false);
    }
  }

  get unsettled(): boolean {
    return this.#sent;
  }

  /** Taking the counter away waits for what it has begun; on a busy host that takes milliseconds. */
  settle(): void {
    if (!this.#sent) return;
    this.#sent = false;
    this.#assign(KVM_IRQFD_FLAG_DEASSIGN);
    this.#assign(0);
  }

  /** Finds out whether a line that is up is at a level-triggered pin. */
  look(): void {
    if (!this.#level || this.#held || !this.#inputs.isLevelTriggered(this.#input)) return;
    // Or the pulse would take the level away when it ends.
    this.settle();
    this.#held = true;
    this.#inputs.raise(this.#input, true);
  }

  dispose(): void {
    this.#machine.system.libc.close(this.#counter);
  }
}
