// For tests: why KVM can't be used here, if it can't.
import { kvmSystem } from "./engine.ts";

/** Undefined where it can. */
export const KVM_UNAVAILABLE: string | undefined = unavailable();

function unavailable(): string | undefined {
  try {
    kvmSystem();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Why an interrupt window may be told of late here, if it may: PVM goes on emulating until something else makes it leave. */
export const KVM_LATE_WINDOWS = !KVM_UNAVAILABLE && kvmSystem().pvm
  ? "PVM tells of it late"
  : undefined;
