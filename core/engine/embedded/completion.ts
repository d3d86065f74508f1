// A port access that the VMM has done for the guest: the instruction is executed against a bus that only hands over the
// answer, so that IN, INS and their repeated forms need no second implementation.
import { Bus } from "../../machine/bus.ts";

export class CompletionBus extends Bus {
  /** What the guest reads. */
  value = 0;

  override read(): number {
    return this.value;
  }
  override write(): void {}
}
