// Why a VMM gave a guest up, where that was told by an exception.
import { hex } from "../base/hex.ts";
import { EngineFailure } from "../engine/lacks.ts";
import { GuestMemoryError } from "../machine/memory.ts";

/** A run that is at fault itself ends with this reason; undefined: we are. */
export function reasonOf(error: unknown): string | undefined {
  if (error instanceof EngineFailure) return error.message;
  if (!(error instanceof GuestMemoryError)) return undefined;
  return `The guest made its VMM touch ${error.length} bytes at guest-physical ` +
    `${hex(error.address)}, where there is no RAM`;
}
