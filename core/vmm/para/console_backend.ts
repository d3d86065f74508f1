// The back end of the PV console: takes what the guest has put on the output half of its ring, when it sends the event
// (xen/include/public/io/console.h). Nothing ever comes in.
import type { Gpa } from "../../base/address.ts";
import { XEN_CONSOLE_RING } from "../../guest/layout.ts";
import type { Domain } from "./domain.ts";

/** struct xencons_interface: in[1024], out[2048], in_cons, in_prod, out_cons, out_prod. */
const RING = { out: 1024, outSize: 2048, outCons: 3080, outProd: 3084 } as const;

/** The console's back end. */
export class ConsoleBackend {
  readonly #domain: Domain;
  /** Tells the guest that there is room again. */
  readonly #notify: () => void;
  #consumed = 0;
  #broken = false;

  constructor(domain: Domain, notify: () => void) {
    this.#domain = domain;
    this.#notify = notify;
  }

  /** The guest has sent the event. */
  kicked(): void {
    const { memory, setup } = this.#domain;
    setup.recorder.access({ kind: "queue-notify", device: "console", queue: 0 });
    if (this.#broken) return;
    const produced = memory.readU32(XEN_CONSOLE_RING + RING.outProd as Gpa);
    const count = produced - this.#consumed >>> 0;
    if (count > RING.outSize) {
      this.#broken = true;
      const reason = `${count} bytes on a ring of ${RING.outSize}`;
      setup.recorder.access({ kind: "device-needs-reset", device: "console", reason });
      return;
    }
    if (count === 0) return;
    const ring = memory.read(XEN_CONSOLE_RING + RING.out as Gpa, RING.outSize);
    const start = this.#consumed % RING.outSize;
    const bytes = Uint8Array.from(
      { length: count },
      (_, i) => ring[(start + i) % RING.outSize] ?? 0,
    );
    this.#consumed = produced;
    memory.writeU32(XEN_CONSOLE_RING + RING.outCons as Gpa, produced);
    setup.console.write(bytes);
    this.#notify();
  }
}
