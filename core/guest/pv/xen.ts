// The pv-ops of a paravirtualized guest: hypercalls, events and rings of Xen's PV interface.
import type { PvLibrary } from "./units.ts";

export const XEN: PvLibrary = { inline: {}, units: [] };
