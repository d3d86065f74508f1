// From an instruction to its row in the table of sensitive operations. The translator asks once for each instruction that
// it translates; everything that follows (treatment, privilege, exit) hangs on the answer.
import { type Instruction, Mnemonic, OpKind, Register } from "iced-x86";
import type { SensitiveOperation } from "./sensitive_operations.ts";

export { checkPrivilege } from "./privilege.ts";
export { type ExitBody, exitDetail, instructionName } from "./exit_detail.ts";
export { isIdleRepeat } from "./ports.ts";

/** Mnemonics that are sensitive in every form. */
const ALWAYS = new Map<Mnemonic, SensitiveOperation>([
  ...all("port-io", Mnemonic.In, Mnemonic.Out),
  ...all("port-io", Mnemonic.Insb, Mnemonic.Insw, Mnemonic.Insd),
  ...all("port-io", Mnemonic.Outsb, Mnemonic.Outsw, Mnemonic.Outsd),
  ...all("cpuid", Mnemonic.Cpuid),
  ...all("hlt", Mnemonic.Hlt),
  ...all("rdtsc", Mnemonic.Rdtsc),
  ...all("rdtscp", Mnemonic.Rdtscp),
  ...all("rdpmc", Mnemonic.Rdpmc),
  ...all("rdmsr", Mnemonic.Rdmsr),
  ...all("wrmsr", Mnemonic.Wrmsr),
  ...all("clts", Mnemonic.Clts),
  ...all("lmsw", Mnemonic.Lmsw),
  ...all("smsw", Mnemonic.Smsw),
  ...all("invlpg", Mnemonic.Invlpg, Mnemonic.Invpcid),
  ...all("invd", Mnemonic.Invd),
  ...all("wbinvd", Mnemonic.Wbinvd, Mnemonic.Wbnoinvd),
  ...all("lgdt-lidt", Mnemonic.Lgdt, Mnemonic.Lidt),
  ...all("sgdt-sidt", Mnemonic.Sgdt, Mnemonic.Sidt),
  ...all("lldt-ltr", Mnemonic.Lldt, Mnemonic.Ltr),
  ...all("sldt-str", Mnemonic.Sldt, Mnemonic.Str),
  ...all("lar-lsl-verr-verw", Mnemonic.Lar, Mnemonic.Lsl, Mnemonic.Verr, Mnemonic.Verw),
  ...all("pushf", Mnemonic.Pushf, Mnemonic.Pushfd, Mnemonic.Pushfq),
  ...all("popf", Mnemonic.Popf, Mnemonic.Popfd, Mnemonic.Popfq),
  ...all("cli-sti", Mnemonic.Cli, Mnemonic.Sti),
  ...all("segment-load", Mnemonic.Lds, Mnemonic.Les, Mnemonic.Lfs, Mnemonic.Lgs, Mnemonic.Lss),
  ...all("far-transfer", Mnemonic.Retf),
  ...all("iret", Mnemonic.Iret, Mnemonic.Iretd, Mnemonic.Iretq),
  ...all("int-n", Mnemonic.Int, Mnemonic.Int3, Mnemonic.Int1, Mnemonic.Into),
  ...all("syscall", Mnemonic.Syscall, Mnemonic.Sysenter),
  ...all("sysret", Mnemonic.Sysret, Mnemonic.Sysretq, Mnemonic.Sysexit, Mnemonic.Sysexitq),
  ...all("swapgs", Mnemonic.Swapgs),
  ...all("vmcall", Mnemonic.Vmcall, Mnemonic.Vmmcall),
  ...all("xsetbv", Mnemonic.Xsetbv),
  ...all("monitor-mwait", Mnemonic.Monitor, Mnemonic.Mwait),
  ...all("pause", Mnemonic.Pause),
  ...all("indirect-branch", Mnemonic.Ret),
]);

function all(
  operation: SensitiveOperation,
  ...mnemonics: Mnemonic[]
): [Mnemonic, SensitiveOperation][] {
  return mnemonics.map((mnemonic) => [mnemonic, operation]);
}

/** The row of an instruction; undefined for one that is innocuous. */
export function sensitiveOperation(instruction: Instruction): SensitiveOperation | undefined {
  switch (instruction.mnemonic) {
    case Mnemonic.Mov:
      return ofMove(instruction);
    case Mnemonic.Push:
      return isSegmentOperand(instruction, 0) ? "segment-store" : undefined;
    case Mnemonic.Pop:
      return isSegmentOperand(instruction, 0) ? "segment-load" : undefined;
    case Mnemonic.Jmp:
    case Mnemonic.Call:
      if (isFarBranch(instruction)) return "far-transfer";
      return isIndirectBranch(instruction) ? "indirect-branch" : undefined;
    default:
      return ALWAYS.get(instruction.mnemonic);
  }
}

function ofMove(instruction: Instruction): SensitiveOperation | undefined {
  for (const operand of [0, 1]) {
    if (instruction.opKind(operand) !== OpKind.Register) continue;
    const register = instruction.opRegister(operand);
    const to = operand === 0;
    if (isSegment(register)) return to ? "segment-load" : "segment-store";
    if (register >= Register.DR0 && register <= Register.DR15) return "mov-dr";
    if (register === Register.CR8) return "mov-cr8";
    if (register >= Register.CR0 && register <= Register.CR15) {
      if (!to) return register === Register.CR3 ? "mov-from-cr3" : "mov-from-cr";
      switch (register) {
        case Register.CR2:
          return "mov-to-cr2";
        case Register.CR3:
          return "mov-to-cr3";
        case Register.CR4:
          return "mov-to-cr4";
        default:
          return "mov-to-cr0";
      }
    }
  }
  return undefined;
}

function isSegment(register: Register): boolean {
  return register >= Register.ES && register <= Register.GS;
}

function isSegmentOperand(instruction: Instruction, operand: number): boolean {
  return instruction.opKind(operand) === OpKind.Register &&
    isSegment(instruction.opRegister(operand));
}

/** A far JMP or CALL, direct or through memory. */
export function isFarBranch(instruction: Instruction): boolean {
  return instruction.isJmpFar || instruction.isCallFar ||
    instruction.isJmpFarIndirect || instruction.isCallFarIndirect;
}

/** A near branch whose target is not in the instruction: RET, and JMP and CALL through a register or memory. */
export function isIndirectBranch(instruction: Instruction): boolean {
  return instruction.mnemonic === Mnemonic.Ret ||
    instruction.isJmpNearIndirect || instruction.isCallNearIndirect;
}
