// Inputs of interrupt controllers before there are any: devices are wired with the board, and only the engine's machine brings the
// controllers. What a device says until then is told when they come.
import type { InterruptInputs, LineUse } from "../machine/controllers.ts";
import type { InterruptLine } from "../machine/device.ts";

class LateLine implements InterruptLine {
  #level = false;
  #line: InterruptLine | undefined;

  constructor(readonly input: number, readonly use: LineUse | undefined) {}

  bind(inputs: InterruptInputs): void {
    this.#line = inputs.line(this.input, this.use);
    if (this.#level) this.#line.set(true);
  }

  set(level: boolean): void {
    if (level === this.#level) return;
    this.#level = level;
    this.#line?.set(level);
  }
}

/** Lines that lead somewhere later, and nowhere if nobody is bound: to a back end that needs none of an engine's. */
export class LateInputs implements InterruptInputs {
  readonly #lines: LateLine[] = [];
  #inputs: InterruptInputs | undefined;

  line(input: number, use?: LineUse): InterruptLine {
    const line = new LateLine(input, use);
    this.#lines.push(line);
    if (this.#inputs) line.bind(this.#inputs);
    return line;
  }

  bind(inputs: InterruptInputs): void {
    this.#inputs = inputs;
    for (const line of this.#lines) line.bind(inputs);
  }
}
