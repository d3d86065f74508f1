// What leaves the guest for its VMM, and how the VMM goes on from there: exits, their completion, and events on their way in.
import { type RegisterName, VECTOR } from "../../base/registers.ts";
import { isTracing, noteTraps } from "../../cpu/boundary.ts";
import { checkPrivilege, exitDetail, isIdleRepeat } from "../../cpu/classify.ts";
import { GuestFault } from "../../cpu/fault.ts";
import { isIntercepted } from "../../cpu/intercepts.ts";
import { ripBits } from "../../cpu/linear.ts";
import { initialize } from "../../cpu/reset.ts";
import type { Treatment } from "../../cpu/sensitive_operations.ts";
import type { Exit, ExitKind } from "../../trace/exit.ts";
import type { Event, Stop, VcpuConfig } from "../vcpu.ts";
import { Events, faultEvent } from "./events.ts";
import { DeviceAccess } from "./physical.ts";
import { TaskPriority } from "./priority.ts";
import type { Shared } from "./processor.ts";
import { guarded } from "./region_memory.ts";
import type { SlowInstruction } from "./slow_instructions.ts";
import { type Step, Stepper } from "./stepper.ts";
import type { TaskSwitchAttempt } from "./task_attempt.ts";

/** A stepper that knows a VMM. */
export class ExitingStepper extends Stepper {
  protected readonly events: Events;
  protected readonly priority: TaskPriority;
  /** The event that was injected was one fault too many: the next run begins with a triple fault. */
  #shutdown: Stop | undefined;
  /** The instruction that exited, for `complete` and `skip`. */
  #exited: SlowInstruction | undefined;
  /** It exited for its port, and not for device memory that it reaches as well. */
  #exitedAtPort = false;
  /**
   * The VMM has taken the exit of the instruction under way, which turned out to need device memory too: its port has answered,
   * or it is emulated. It goes on from there.
   */
  #taken: "port" | "emulation" | undefined;

  constructor(config: VcpuConfig, shared?: Shared) {
    super(config, shared);
    this.events = new Events(this.cpu);
    this.priority = new TaskPriority(this.state, config.localApic);
  }

  override get(name: RegisterName): bigint {
    if (name === "cr8") this.priority.load();
    return super.get(name);
  }

  override set(name: RegisterName, value: bigint): void {
    super.set(name, value);
    if (name === "cr8") this.priority.store();
  }

  // ---- Leaving -----------------------------------------------------------------------------------------------------

  protected treatmentOf({ operation }: SlowInstruction): Treatment {
    if (this.#taken) return "vm-exit";
    const table = this.state.cpl === 3 ? this.controls.user : this.controls.kernel;
    return operation && operation !== "indirect-branch" ? table[operation] : "execute";
  }

  /** Does an instruction as the controls want it, or leaves at it. */
  protected attempt(decoded: SlowInstruction, treatment: Treatment): Step | Stop {
    const { insn, operation } = decoded;
    if (this.#taken === "port") return this.step(decoded, this.completing);
    if (this.#taken) return this.asVmm(() => this.step(decoded, this.cpu));
    if (treatment === "inline") return this.step(decoded, this.inlining);
    if (!operation || treatment === "execute" || isIdleRepeat(this.state, insn)) {
      return this.step(decoded, this.cpu);
    }
    const body = guarded(() => {
      // The exit of MOV DR comes before its faults (SDM vol. 3, 26.1.3).
      const first = operation === "mov-dr" && treatment === "vm-exit";
      if (!first) checkPrivilege(this.cpu, insn, operation);
      const { intercepts } = this.controls;
      const stays = treatment === "vm-exit" && intercepts &&
        !isIntercepted(this.cpu, insn, operation, intercepts);
      this.physical.begin();
      return stays ? undefined : exitDetail(this.cpu, insn, operation);
    });
    if (body instanceof GuestFault || body instanceof DeviceAccess) return body;
    return body
      ? this.exit(body.kind, treatment, body.detail, decoded)
      : this.step(decoded, this.cpu);
  }

  protected takeShutdown(): Stop | undefined {
    const stop = this.#shutdown;
    this.#shutdown = undefined;
    return stop;
  }

  protected taskSwitch({ selector, treatment }: TaskSwitchAttempt): Stop {
    const { events } = this;
    events.switching = events.queued;
    const decoded = events.queued ? undefined : guarded(() => this.reader.decode());
    const instruction = decoded && "insn" in decoded ? decoded : undefined;
    return this.exit("task-switch", treatment, { selector }, instruction);
  }

  /** What comes of an instruction that could not be done. */
  protected failed(
    cause: GuestFault | DeviceAccess,
    decoded: SlowInstruction | undefined,
  ): Stop | undefined {
    const at = decoded ?? guarded(() => this.reader.decode());
    const instruction = at instanceof GuestFault || at instanceof DeviceAccess ? undefined : at;
    return cause instanceof GuestFault
      ? this.fault(cause, instruction)
      : this.#device(cause, instruction);
  }

  #device(access: DeviceAccess, instruction: SlowInstruction | undefined): Stop {
    const { gpa, size, write, value } = access;
    const kind = write ? "write" : "read";
    const detail = {
      gpa,
      access: instruction ? kind : "execute",
      size,
      value,
    } as const;
    if (this.controls.paging === "nested") {
      return this.exit("ept-violation", "vm-exit", detail, instruction);
    }
    const via = this.callouts.has(this.reader.linearRip()) ? "callout" : this.controls.exceptionVia;
    return this.exit("mmio", via, detail, instruction);
  }

  /** A fault exits, or is queued. */
  protected fault(fault: GuestFault, instruction: SlowInstruction | undefined): Stop | undefined {
    const { vector, errorCode, address } = fault;
    // The VMM may mend what is wrong: then the instruction goes on with what devices have answered it.
    this.restart = this.physical.answered;
    if (this.callouts.get(this.reader.linearRip()) === "trace" && address !== undefined) {
      const gpa = this.translate(address);
      const isProtection = vector === VECTOR.PF && ((errorCode ?? 0) & 3) === 3;
      if (gpa !== undefined && isProtection) {
        return this.exit("trace", "callout", { address, gpa }, instruction);
      }
    }
    if (this.controls.exceptions & (1 << vector)) {
      const { type: _, ...detail } = faultEvent(fault);
      return this.exit("exception", this.controls.exceptionVia, detail, instruction);
    }
    this.forget();
    this.events.queued = faultEvent(fault);
    return undefined;
  }

  /** Delivers an event through the guest's tables; a fault on the way exits, or takes its place. */
  protected deliver(event: Event): Stop | "delivered" | undefined {
    const result = this.events.deliver(event);
    if (result === "delivered") return result;
    if (result instanceof DeviceAccess) return this.#device(result, undefined);
    // Where it exits, the event stays queued: the VMM mends what is in its way, or injects another one.
    if (this.controls.exceptions & (1 << result.vector)) return this.fault(result, undefined);
    return this.#replace(result);
  }

  #replace(fault: GuestFault): Stop | undefined {
    return this.events.replace(fault)
      ? undefined
      : this.exit("triple-fault", "vm-exit", {}, undefined);
  }

  protected exit<K extends ExitKind>(
    kind: K,
    via: Exit["via"] | "execute" | "inline",
    detail: Extract<Exit, { kind: K }>["detail"],
    instruction: SlowInstruction | undefined,
  ): Stop {
    this.#exited = instruction;
    this.#exitedAtPort = kind === "io";
    const exit = {
      kind,
      via,
      rip: this.reader.linearRip(),
      bytes: instruction?.bytes ?? new Uint8Array(),
      bitness: this.state.bitness,
      detail,
    };
    // Kind and detail belong together by the signature, which TypeScript can't follow through a generic object.
    return { reason: "exit", exit: exit as unknown as Exit };
  }

  // ---- After an exit -----------------------------------------------------------------------------------------------

  complete(value = 0n): void {
    const exited = this.#exited;
    if (!exited) throw new Error("Nothing to complete");
    if (!this.#exitedAtPort) {
      this.physical.answer(value);
      this.restart = true;
      return;
    }
    this.completion.value = Number(value);
    const step = this.step(exited, this.completing);
    if (step instanceof GuestFault) this.events.queued = faultEvent(step);
    if (step instanceof DeviceAccess) this.#take("port");
  }

  #take(what: "port" | "emulation"): void {
    this.#taken = what;
    this.restart = true;
  }

  protected override forget(): void {
    super.forget();
    this.#taken = undefined;
  }

  get midway(): boolean {
    return this.restart;
  }

  skip(): void {
    const length = this.#exited?.insn.length ?? 0;
    this.state.rip = BigInt.asUintN(ripBits(this.state.bitness), this.state.rip + BigInt(length));
    this.state.interruptShadow = false;
    this.state.resuming = false;
    this.state.breakpoints.met = 0;
    this.physical.done();
    this.budget--;
    const { operation } = this.#exited ?? {};
    const enters = operation === "int-n" || operation === "syscall";
    if (!enters && this.#exited) noteTraps(this.state, operation, isTracing(this.state));
  }

  emulate(): Event | undefined {
    const { switching } = this.events;
    return this.asVmm(() => switching ? this.events.switchTask(switching) : this.#emulate());
  }

  #emulate(): Event | undefined {
    const decoded = guarded(() => this.reader.decode());
    if (decoded instanceof DeviceAccess) throw new Error("Code to emulate stands in device memory");
    if (decoded instanceof GuestFault) return faultEvent(decoded);
    const step = this.step(decoded, this.cpu);
    if (step instanceof GuestFault) return faultEvent(step);
    if (step instanceof DeviceAccess) this.#take("emulation");
    if (step === "done") this.priority.followed(decoded);
    return undefined;
  }

  emulateStore(gpa: number): Event | undefined {
    return this.withUnprotected(gpa, () => this.emulate());
  }

  inject(event: Event): void {
    this.forget();
    const { events } = this;
    if (events.queued && event.type === "exception") {
      const { vector, errorCode, address } = event;
      this.#shutdown = this.#replace(new GuestFault(vector, errorCode, address));
    } else events.queued = event;
  }

  nmi(): void {
    this.state.nmiPending = true;
  }

  debugRegister(number: number): bigint {
    return this.state.debug(number);
  }
  setDebugRegister(number: number, value: bigint): void {
    this.state.setDebug(number, value);
  }

  init(): void {
    initialize(this.state);
    this.forget();
    this.events.clear();
    this.#shutdown = undefined;
    this.flush();
  }
}
