// The shape of the pv-op library: assembly sources (units) that each live at an address of their own and are assembled
// only for guests that use one of their operations, once a process. Every unit gets the same prelude of names: the
// numeric constants of `../layout.ts` under their own names, `SELECTOR_code64` and so on, `FRAME_RIP` and so on, and the
// cells of `data.ts`.
import { PV_CODE_BASE } from "../layout.ts";
import type { PvName } from "./operations.ts";

/** Bytes between the starts of two units: none is larger. */
export const UNIT_STRIDE = 0x1000;

/** One source of the library. */
export interface PvUnit {
  /** Of its file, without `.asm`. */
  readonly name: string;
  /** Where it lives: the n-th {@linkcode UNIT_STRIDE} from `PV_CODE_BASE`. No two of a platform share one. */
  readonly slot: number;
  /** How many slots it takes, if not one. */
  readonly slots?: number;
  /** Assembly text. Defines `pv_NAME` for each operation it provides. */
  readonly text: string;
  /** The operations whose labels it defines. */
  readonly provides: readonly PvName[];
  /** Names of the units of the same platform whose labels it uses. */
  readonly needs: readonly string[];
}

/** How one platform implements the operations: some in place of the call, the others by units. */
export interface PvLibrary {
  /** Assembly text that replaces `pv NAME` itself. */
  readonly inline: Readonly<Partial<Record<PvName, string>>>;
  /** The rest. */
  readonly units: readonly PvUnit[];
}

/** Address of a unit's first byte. */
export function unitBase(unit: PvUnit): number {
  return PV_CODE_BASE + unit.slot * UNIT_STRIDE;
}
