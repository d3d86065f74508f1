// Where the command line writes, and whether in colour.
import { setColorEnabled } from "@std/fmt/colors";
import type { Write } from "../report/reporter.ts";
import { Complaint } from "./complaint.ts";

/** Writes to standard output, whole. */
export const toStdout: Write = (text) => writeAll(Deno.stdout, text);
/** Writes to standard error, whole. */
export const toStderr: Write = (text) => writeAll(Deno.stderr, text);

function writeAll(stream: { writeSync(bytes: Uint8Array): number }, text: string): void {
  let bytes = new TextEncoder().encode(text);
  while (bytes.length > 0) bytes = bytes.subarray(stream.writeSync(bytes));
}

/** Colours on terminals only, and never when `NO_COLOR` says so. Deno reads that itself: it needs no permission here. */
export function chooseColours(stream: { isTerminal(): boolean }): void {
  setColorEnabled(stream.isTerminal() && !Deno.noColor);
}

/** Collects text for `--output FILE`; writes it when told. */
export class FileOutput {
  #parts: string[] = [];
  /** Throws at once where the file can't be written, not when the run is over. */
  constructor(readonly path: string) {
    try {
      Deno.openSync(path, { write: true, create: true }).close();
    } catch (error) {
      if (error instanceof Deno.errors.NotCapable) {
        throw new Complaint(
          `Needs permission for write access to ${path}: give --allow-write to \`deno run\`, or ` +
            `redirect standard output instead of --output, which needs none`,
        );
      }
      const why = error instanceof Error ? error.message.replace(/ \(os error.*/, "") : "";
      throw new Complaint(`Can't write ${path}: ${why}`);
    }
  }
  readonly write: Write = (text) => {
    this.#parts.push(text);
  };
  flush(): void {
    Deno.writeTextFileSync(this.path, this.#parts.join(""));
  }
}
