// One trial: a mode, a few instructions, registers and memory before; and what a processor made of it.
import type { Mode } from "./machine.ts";

/** Bytes at a physical address. */
export interface Patch {
  readonly address: number;
  readonly bytes: Uint8Array;
}

export interface Trial {
  /** What is shown when it fails. */
  readonly name: string;
  readonly mode: Mode;
  readonly code: Uint8Array;
  /** In encoding order. */
  readonly general: readonly bigint[];
  readonly rflags: bigint;
  readonly patches?: readonly Patch[];
  /** Control registers, where they are not the mode's. */
  readonly control?: { readonly cr0: bigint; readonly cr4: bigint; readonly efer: bigint };
  /** Flags that the manual leaves undefined after the last instruction. */
  readonly undefinedFlags?: bigint;
}

/** Where a trial ended. */
export type End = "end" | "target" | "handler" | "shutdown" | "endless" | "elsewhere";

/** State after a trial: registers by name, as hexadecimal digits, and the watched memory. */
export interface Outcome {
  readonly end: End;
  readonly registers: Readonly<Record<string, string>>;
  readonly memory: readonly Uint8Array[];
}
