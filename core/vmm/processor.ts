// One CPU of a PC, beside its instructions: start-up messages from other CPUs, NMIs, what wakes it, and what CPUID says of
// its place among them. The same on bare hardware and under every monitor of a PC.
import type { CpuidResult } from "../cpu/cpu.ts";
import { PHYSICAL_ADDRESS_BITS } from "../cpu/walk.ts";
import type { LocalApicRegisters, Vcpu } from "../engine/vcpu.ts";
import type { BoardCpu } from "../machine/board.ts";
import type { Lapic } from "../machine/devices/lapic.ts";
import { LapicMsrs } from "../machine/devices/lapic_msrs.ts";
import { interruptsMasked } from "./exit_handlers.ts";
import { IDLE, type Outcome, RESUME } from "./monitor.ts";

/** A segment of real mode's code, present, executed. */
const CODE_LIMIT = 0xffff, CODE_ATTRIBUTES = 0x9b;

/** Leaf 1: EDX tells of an APIC, and of a package with several logical processors; ECX of what the APIC has. */
const FEATURES = 1, EDX_APIC = 1 << 9, EDX_HTT = 1 << 28;
const ECX_X2APIC = 1 << 21, ECX_TSC_DEADLINE = 1 << 24;
/** Leaf 0xb: topology, by level (SDM vol. 2, CPUID). */
const TOPOLOGY = 0xb, LEVEL_SMT = 1, LEVEL_CORE = 2;

/** One CPU's place on the board. */
export class Processor {
  readonly localApic: LocalApicRegisters | undefined;
  readonly #lapic: Lapic | undefined;

  constructor(readonly board: BoardCpu, readonly cpus: number) {
    this.#lapic = board.lapic;
    this.localApic = board.lapic && new LapicMsrs(board.lapic, PHYSICAL_ADDRESS_BITS);
  }

  /** Connects it. */
  start(vcpu: Vcpu): void {
    if (this.#lapic) this.#lapic.onNmi = () => vcpu.nmi();
    const { floatError } = this.board;
    if (floatError) vcpu.watchFloatErrors(floatError);
  }

  /**
   * Before every entry: INIT and start-up messages take effect (SDM vol. 3, 9.4.3). Idle: it waits to be started.
   * `changed` is told when the CPU's state has been replaced.
   */
  settle(vcpu: Vcpu, changed: () => void = () => {}): Outcome {
    const lapic = this.#lapic;
    if (!lapic) return RESUME;
    for (let signal = lapic.takeSignal(); signal; signal = lapic.takeSignal()) {
      if (signal.is === "init") vcpu.init();
      else startUp(vcpu, signal.vector);
      changed();
    }
    return lapic.waitsForStartUp ? IDLE : RESUME;
  }

  /** Is there a message that the CPU does not see by itself? */
  get signalled(): boolean {
    return this.#lapic?.signalled ?? false;
  }

  /** Is there what ends a halt? */
  wakes(vcpu: Vcpu): boolean {
    if (vcpu.lower) return vcpu.lower.halts.wakes();
    if (this.signalled) return true;
    if (this.#lapic?.waitsForStartUp) return false;
    return vcpu.eventPending || this.board.interrupts.pending() && !interruptsMasked(vcpu);
  }

  /** Can no interrupt end its halt? */
  isDeaf(vcpu: Vcpu): boolean {
    const waiting = vcpu.lower?.halts.waitsForStartUp ?? this.#lapic?.waitsForStartUp ?? false;
    return waiting || interruptsMasked(vcpu);
  }

  /** What CPUID says, given what it says of any CPU. */
  cpuid(leaf: number, subleaf: number, plain: CpuidResult): CpuidResult {
    const { hasLapic, id } = this.board;
    if (!hasLapic) return plain;
    const isPresent = this.#lapic?.isPresent ?? true;
    if (leaf >>> 0 === FEATURES) {
      const [eax, ebx, ecx, edx] = plain;
      const several = this.cpus > 1;
      return [
        eax,
        (ebx & 0xffff | (several ? this.cpus : 1) << 16 | id << 24) >>> 0,
        (ecx | ECX_X2APIC | ECX_TSC_DEADLINE) >>> 0,
        (edx & ~(isPresent ? 0 : EDX_APIC) | (several ? EDX_HTT : 0)) >>> 0,
      ];
    }
    if (leaf >>> 0 !== TOPOLOGY) return plain;
    const level = subleaf & 0xff;
    if (subleaf === 0) return [0, 1, level | LEVEL_SMT << 8, id];
    if (subleaf !== 1) return [0, 0, level, id];
    return [Math.ceil(Math.log2(this.cpus)), this.cpus, level | LEVEL_CORE << 8, id];
  }
}

/** A start-up message: real mode, at the page that its vector names (SDM vol. 3, 9.4.4). */
function startUp(vcpu: Vcpu, vector: number): void {
  vcpu.setSegment("cs", {
    selector: vector << 8,
    base: BigInt(vector << 12),
    limit: CODE_LIMIT,
    attributes: CODE_ATTRIBUTES,
  });
  vcpu.set("rip", 0n);
}
