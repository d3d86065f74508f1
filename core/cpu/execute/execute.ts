// Every instruction whose meaning is written in TypeScript: what is not plain integer computation. The run loop calls this
// with the state in memory, at the start of the instruction.
import { Code, type Instruction, Mnemonic } from "iced-x86";
import { RFLAGS } from "../../base/registers.ts";
import { checkPrivilege, sensitiveOperation } from "../classify.ts";
import type { Cpu } from "../cpu.ts";
import type { CpuState } from "../state.ts";
import {
  clearTaskSwitched,
  invalidateContext,
  invalidatePage,
  loadMachineStatus,
  moveControl,
  moveDebug,
  storeMachineStatus,
} from "./control.ts";
import {
  adjustDivide,
  adjustMultiply,
  adjustPacked,
  adjustUnpacked,
  setAlFromCarry,
} from "./decimal.ts";
import { farReturn, farTransfer } from "./far.ts";
import { clearInterrupts, popFlags, pushFlags, setAlignmentCheck, setInterrupts } from "./flags.ts";
import { compareExchangeWide, enter, popAll, pushAll, translateByte } from "./frames.ts";
import { advance, type Effect, type Handler, straight, transfer } from "./handler.ts";
import {
  cpuid,
  readModelSpecific,
  readPerformanceCounter,
  readProcessor,
  readRandom,
  readTimestampAndProcessor,
  readTimestampCounter,
  touchLine,
  writeModelSpecific,
} from "./identity.ts";
import { adjustRpl, loadAttribute, verifySegment } from "./inspect.ts";
import { checkBounds, softwareInterrupt, undefinedOpcode } from "./interrupts.ts";
import { interruptReturn } from "./iret.ts";
import { portIo } from "./port_io.ts";
import {
  loadFarPointer,
  moveSegment,
  popSegment,
  pushSegment,
  STACK_FORMS,
} from "./segment_moves.ts";
import {
  readExtendedControl,
  restoreExtended,
  saveExtended,
  writeExtendedControl,
} from "./simd/extended_state.ts";
import { loadControl, maskedMove, restoreState, saveState, storeControl } from "./simd/state.ts";
import { segmentBase, swapGs, systemCall, systemReturn } from "./system_call.ts";
import {
  loadLocalTable,
  loadTable,
  loadTaskRegister,
  storeSelector,
  storeTable,
} from "./tables.ts";
import { X87_HANDLERS } from "./x87.ts";

export type { Effect } from "./handler.ts";

/** Nothing that a guest could see. */
const NOTHING = straight(() => {});
const UNDEFINED: Handler = undefinedOpcode;

const halt: Handler = (cpu, instruction) => {
  advance(cpu.state, instruction);
  return "halt";
};

/** The wait may end at any time, for any reason (SDM vol. 2, MWAIT). With interrupts off it ends at once. */
const wait: Handler = (cpu, instruction) => {
  advance(cpu.state, instruction);
  return cpu.state.systemFlags & RFLAGS.IF ? "wait" : "next";
};

/** By mnemonic, where every form is done here. */
const BY_MNEMONIC = new Map<Mnemonic, Handler>([
  [Mnemonic.In, portIo],
  [Mnemonic.Out, portIo],
  [Mnemonic.Insb, portIo],
  [Mnemonic.Insw, portIo],
  [Mnemonic.Insd, portIo],
  [Mnemonic.Outsb, portIo],
  [Mnemonic.Outsw, portIo],
  [Mnemonic.Outsd, portIo],
  [Mnemonic.Hlt, halt],
  [Mnemonic.Pause, NOTHING],
  [Mnemonic.Invd, NOTHING],
  [Mnemonic.Wbinvd, NOTHING],
  [Mnemonic.Wbnoinvd, NOTHING],
  [Mnemonic.Monitor, NOTHING],
  [Mnemonic.Mwait, wait],
  [Mnemonic.Cpuid, straight(cpuid)],
  [Mnemonic.Rdtsc, straight(readTimestampCounter)],
  [Mnemonic.Rdtscp, straight(readTimestampAndProcessor)],
  [Mnemonic.Rdpmc, straight(readPerformanceCounter)],
  [Mnemonic.Rdmsr, straight(readModelSpecific)],
  [Mnemonic.Wrmsr, straight(writeModelSpecific)],
  [Mnemonic.Clts, straight(clearTaskSwitched)],
  [Mnemonic.Lmsw, straight(loadMachineStatus)],
  [Mnemonic.Smsw, straight(storeMachineStatus)],
  [Mnemonic.Invlpg, straight(invalidatePage)],
  [Mnemonic.Invpcid, straight(invalidateContext)],
  [Mnemonic.Lgdt, straight(loadTable)],
  [Mnemonic.Lidt, straight(loadTable)],
  [Mnemonic.Sgdt, straight(storeTable)],
  [Mnemonic.Sidt, straight(storeTable)],
  [Mnemonic.Lldt, straight(loadLocalTable)],
  [Mnemonic.Ltr, straight(loadTaskRegister)],
  [Mnemonic.Sldt, straight(storeSelector)],
  [Mnemonic.Str, straight(storeSelector)],
  [Mnemonic.Lar, straight(loadAttribute)],
  [Mnemonic.Lsl, straight(loadAttribute)],
  [Mnemonic.Verr, straight(verifySegment)],
  [Mnemonic.Verw, straight(verifySegment)],
  [Mnemonic.Arpl, straight(adjustRpl)],
  [Mnemonic.Pushf, straight(pushFlags)],
  [Mnemonic.Pushfd, straight(pushFlags)],
  [Mnemonic.Pushfq, straight(pushFlags)],
  [Mnemonic.Popf, straight(popFlags)],
  [Mnemonic.Popfd, straight(popFlags)],
  [Mnemonic.Popfq, straight(popFlags)],
  [Mnemonic.Cli, straight(clearInterrupts)],
  [Mnemonic.Sti, straight(setInterrupts)],
  [Mnemonic.Clac, straight(setAlignmentCheck)],
  [Mnemonic.Stac, straight(setAlignmentCheck)],
  [Mnemonic.Lds, straight(loadFarPointer)],
  [Mnemonic.Les, straight(loadFarPointer)],
  [Mnemonic.Lfs, straight(loadFarPointer)],
  [Mnemonic.Lgs, straight(loadFarPointer)],
  [Mnemonic.Lss, straight(loadFarPointer)],
  [Mnemonic.Retf, transfer(farReturn)],
  [Mnemonic.Iret, transfer(interruptReturn)],
  [Mnemonic.Iretd, transfer(interruptReturn)],
  [Mnemonic.Iretq, transfer(interruptReturn)],
  [Mnemonic.Int, transfer(softwareInterrupt)],
  [Mnemonic.Int1, transfer(softwareInterrupt)],
  [Mnemonic.Int3, transfer(softwareInterrupt)],
  [Mnemonic.Into, transfer(softwareInterrupt)],
  [Mnemonic.Bound, straight(checkBounds)],
  [Mnemonic.Syscall, transfer(systemCall)],
  [Mnemonic.Sysenter, transfer(systemCall)],
  [Mnemonic.Sysret, transfer(systemReturn)],
  [Mnemonic.Sysretq, transfer(systemReturn)],
  [Mnemonic.Sysexit, transfer(systemReturn)],
  [Mnemonic.Sysexitq, transfer(systemReturn)],
  [Mnemonic.Swapgs, straight(swapGs)],
  [Mnemonic.Rdfsbase, straight(segmentBase)],
  [Mnemonic.Rdgsbase, straight(segmentBase)],
  [Mnemonic.Wrfsbase, straight(segmentBase)],
  [Mnemonic.Wrgsbase, straight(segmentBase)],
  [Mnemonic.Daa, straight(adjustPacked)],
  [Mnemonic.Das, straight(adjustPacked)],
  [Mnemonic.Aaa, straight(adjustUnpacked)],
  [Mnemonic.Aas, straight(adjustUnpacked)],
  [Mnemonic.Aam, straight(adjustMultiply)],
  [Mnemonic.Aad, straight(adjustDivide)],
  [Mnemonic.Salc, straight(setAlFromCarry)],
  [Mnemonic.Enter, straight(enter)],
  [Mnemonic.Pusha, straight(pushAll)],
  [Mnemonic.Pushad, straight(pushAll)],
  [Mnemonic.Popa, straight(popAll)],
  [Mnemonic.Popad, straight(popAll)],
  [Mnemonic.Xlatb, straight(translateByte)],
  [Mnemonic.Cmpxchg8b, straight(compareExchangeWide)],
  [Mnemonic.Cmpxchg16b, straight(compareExchangeWide)],
  [Mnemonic.Ldmxcsr, straight(loadControl)],
  [Mnemonic.Stmxcsr, straight(storeControl)],
  [Mnemonic.Fxsave, straight(saveState)],
  [Mnemonic.Fxsave64, straight(saveState)],
  [Mnemonic.Fxrstor, straight(restoreState)],
  [Mnemonic.Fxrstor64, straight(restoreState)],
  [Mnemonic.Maskmovq, straight(maskedMove)],
  [Mnemonic.Maskmovdqu, straight(maskedMove)],
  [Mnemonic.Ud0, UNDEFINED],
  [Mnemonic.Ud1, UNDEFINED],
  [Mnemonic.Ud2, UNDEFINED],
  // A VMM that wants these intercepts them; a CPU without one does not know them.
  [Mnemonic.Vmcall, UNDEFINED],
  [Mnemonic.Vmmcall, UNDEFINED],
  [Mnemonic.Xgetbv, straight(readExtendedControl)],
  [Mnemonic.Xsetbv, straight(writeExtendedControl)],
  [Mnemonic.Xsave, straight(saveExtended)],
  [Mnemonic.Xsave64, straight(saveExtended)],
  [Mnemonic.Xsaveopt, straight(saveExtended)],
  [Mnemonic.Xsaveopt64, straight(saveExtended)],
  [Mnemonic.Xsavec, straight(saveExtended)],
  [Mnemonic.Xsavec64, straight(saveExtended)],
  [Mnemonic.Xrstor, straight(restoreExtended)],
  [Mnemonic.Xrstor64, straight(restoreExtended)],
  [Mnemonic.Rdrand, straight(readRandom)],
  [Mnemonic.Rdseed, straight(readRandom)],
  [Mnemonic.Rdpid, straight(readProcessor)],
  [Mnemonic.Clflush, straight(touchLine)],
  [Mnemonic.Clflushopt, straight(touchLine)],
  [Mnemonic.Clwb, straight(touchLine)],
  // CPUID reports none of what follows.
  [Mnemonic.Rsm, UNDEFINED],
  [Mnemonic.INVALID, UNDEFINED],
]);

/** By code, where only some forms of a mnemonic are done here. */
const BY_CODE = new Map<Code, Handler>([
  ...X87_HANDLERS,
  ...[
    Code.Mov_rm16_Sreg,
    Code.Mov_r32m16_Sreg,
    Code.Mov_r64m16_Sreg,
    Code.Mov_Sreg_rm16,
    Code.Mov_Sreg_r32m16,
    Code.Mov_Sreg_r64m16,
  ].map((code): [Code, Handler] => [code, straight(moveSegment)]),
  ...[Code.Mov_r32_cr, Code.Mov_r64_cr, Code.Mov_cr_r32, Code.Mov_cr_r64]
    .map((code): [Code, Handler] => [code, straight(moveControl)]),
  ...[Code.Mov_r32_dr, Code.Mov_r64_dr, Code.Mov_dr_r32, Code.Mov_dr_r64]
    .map((code): [Code, Handler] => [code, straight(moveDebug)]),
  ...STACK_FORMS.map((code): [Code, Handler] => [
    code,
    straight(/^Push/.test(Code[code] ?? "") ? pushSegment : popSegment),
  ]),
  ...[
    Code.Jmp_ptr1616,
    Code.Jmp_ptr1632,
    Code.Jmp_m1616,
    Code.Jmp_m1632,
    Code.Jmp_m1664,
    Code.Call_ptr1616,
    Code.Call_ptr1632,
    Code.Call_m1616,
    Code.Call_m1632,
    Code.Call_m1664,
  ].map((code): [Code, Handler] => [code, transfer(farTransfer)]),
]);

function handlerOf(instruction: Instruction): Handler | undefined {
  return BY_CODE.get(instruction.code) ?? BY_MNEMONIC.get(instruction.mnemonic);
}

/** Does {@linkcode execute} know this instruction? Invalid ones too: it raises their #UD. */
export function isSlow(instruction: Instruction): boolean {
  return handlerOf(instruction) !== undefined;
}

/**
 * Does one instruction, of a repeated port instruction one element: checks, effects, RIP. Retirement is the caller's to
 * count. Throws `GuestFault` with RIP and registers unchanged; throws `Error` for an instruction that is not slow.
 */
export function execute(cpu: Cpu, instruction: Instruction): Effect {
  const handler = handlerOf(instruction);
  if (!handler) throw new Error(`Not an instruction of the slow path: ${instruction.toString()}`);
  const { state } = cpu;
  const shadow = state.interruptShadow;
  state.interruptShadow = false;
  try {
    const operation = sensitiveOperation(instruction);
    if (operation) checkPrivilege(cpu, instruction, operation);
    const effect = handler(cpu, instruction);
    if (shadow === "mov-ss") endStackShadow(state);
    return effect;
  } catch (thrown) {
    // The instruction has not been executed: what held interrupts back before it still does.
    state.interruptShadow = shadow;
    throw thrown;
  }
}

/** Of several loads of SS in a row, only the first holds anything back (SDM vol. 3, 6.8.3). */
function endStackShadow(state: CpuState): void {
  if (state.interruptShadow === "mov-ss") state.interruptShadow = false;
}
