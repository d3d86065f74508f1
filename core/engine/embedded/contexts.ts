// Which regions go with the mode that the CPU is in: asked before every region, answered anew when something has changed.
import { segmentation } from "../../cpu/segment_kinds.ts";
import type { Treatment, TreatmentTable } from "../../cpu/sensitive_operations.ts";
import { simdFaults } from "../../cpu/simd_state.ts";
import { ATTRIBUTE, type CpuState } from "../../cpu/state.ts";
import { type Mode, modeKey } from "../../cpu/translate/translation.ts";
import type { ExecutionControls } from "../vcpu.ts";
import type { CodeCache, Context } from "./code_cache.ts";
import type { CodeReader } from "./code_reader.ts";
import { ModeWatch } from "./mode_watch.ts";
import type { RegionMemory } from "./region_memory.ts";
import type { Tlb } from "./tlb.ts";

/** The parts of a CPU that a change of mode concerns. */
export interface ContextParts {
  readonly state: CpuState;
  readonly tlb: Tlb;
  readonly code: CodeCache;
  readonly paths: RegionMemory;
  readonly reader: CodeReader;
  /** Linear addresses at which translated code calls out. */
  readonly callouts: ReadonlyMap<bigint, unknown>;
  /** Is there no other CPU? */
  readonly alone: boolean;
}

/** What regions do about PAUSE where a CPU is alone, by its treatment. */
const PAUSES: Partial<Record<Treatment, Mode["pauses"]>> = { execute: "free", inline: "counted" };

export class Contexts {
  readonly #parts: ContextParts;
  readonly #modeWatch: ModeWatch;
  #current: Context | undefined;
  /** Empty: it has to be looked up. */
  #key = "";
  /** RIPs at which regions end because of a callout or a breakpoint. */
  #stops: ReadonlySet<bigint> = new Set();
  /** What of the breakpoints TLBs and regions have been made for. */
  #breakpointsSeen = 0;
  #codeWatched = "";

  constructor(parts: ContextParts) {
    this.#parts = parts;
    this.#modeWatch = new ModeWatch(parts.code.core.buffer);
  }

  /** Of the current mode. */
  get stops(): ReadonlySet<bigint> {
    return this.#stops;
  }

  /** Controls or callouts are not what they were. */
  changed(): void {
    this.#key = "";
  }

  /** The regions of the mode that the CPU is in. TLBs hold the rights of one privilege: they go when that changes. */
  current(controls: ExecutionControls): Context {
    const { state, paths, tlb, code, reader } = this.#parts;
    if (state.breakpoints.version !== this.#breakpointsSeen) this.#rearm();
    if (this.#current && this.#key !== "" && this.#modeWatch.isUnchanged) return this.#current;
    this.#modeWatch.remember();
    const user = state.cpl === 3;
    if (user !== paths.user) {
      paths.user = user;
      tlb.flush();
    }
    const mode = this.#mode(user ? controls.user : controls.kernel);
    const base = reader.base();
    const key = `${modeKey(mode)}/${+user}/${base}`;
    if (key !== this.#key || !this.#current) {
      this.#key = key;
      this.#current = code.context(key, () => mode);
      tlb.flushJumps();
      this.#stops = this.#stopsFrom(base, mode.bits === 64 ? 64 : 32);
    }
    return this.#current;
  }

  #mode(table: TreatmentTable): Mode {
    const { state, alone } = this.#parts;
    const { bitness: bits } = state;
    return {
      bits,
      stackBits: bits === 64 ? 64 : state.segment("ss").attributes & ATTRIBUTE.DB ? 32 : 16,
      countLookups: table["indirect-branch"] === "inline",
      pauses: alone ? PAUSES[table.pause] ?? "slow" : "slow",
      aligned: state.checksAlignment,
      ...simdFaults(state),
      ...segmentation(state),
    };
  }

  /** Regions know RIP as an offset. */
  #stopsFrom(base: bigint, bits: 32 | 64): ReadonlySet<bigint> {
    const { callouts, state } = this.#parts;
    const linear = [...callouts.keys(), ...state.breakpoints.code];
    return new Set(linear.map((address) => BigInt.asUintN(bits, address - base)));
  }

  /** Breakpoints have changed: watched pages leave the TLBs, and regions end where instructions are watched. */
  #rearm(): void {
    const { state, tlb, code } = this.#parts;
    const { version, code: watched } = state.breakpoints;
    this.#breakpointsSeen = version;
    tlb.flush();
    if (watched.join() === this.#codeWatched) return;
    this.#codeWatched = watched.join();
    this.#key = "";
    code.dropAll();
  }
}
