// What an exit tells about the instruction that caused it: the exit qualification, so to speak. Nothing is changed.
import { type Instruction, Mnemonic, OpKind, Register } from "iced-x86";
import type { ExitDetails, ExitKind } from "../trace/exit.ts";
import {
  controlOperand,
  debugOperand,
  isControlRegister,
  isMoveToControl,
  readControl,
} from "./control_registers.ts";
import type { Cpu } from "./cpu.ts";
import { linearAddress } from "./linear.ts";
import { effectiveAddress, readOperand, readPlace, readRegister, segmentName } from "./operands.ts";
import { portAccess, stringAddressBits } from "./ports.ts";
import type { SensitiveOperation } from "./sensitive_operations.ts";

/** An exit without its place: the kind and what belongs to it. */
export type ExitBody = {
  [K in ExitKind]: { readonly kind: K; readonly detail: ExitDetails[K] };
}[ExitKind];

const RAX = 0, RCX = 1, RDX = 2, RSI = 6;
/** Bytes. */
const INVPCID_DESCRIPTOR = 16;

/** Names that differ from iced's in lower case: one name whatever the operand size. */
const NAMES = new Map<Mnemonic, string>([
  [Mnemonic.Pushfd, "pushf"],
  [Mnemonic.Pushfq, "pushf"],
  [Mnemonic.Popfd, "popf"],
  [Mnemonic.Popfq, "popf"],
  [Mnemonic.Iretd, "iret"],
  [Mnemonic.Iretq, "iret"],
  [Mnemonic.Sysretq, "sysret"],
  [Mnemonic.Sysexitq, "sysexit"],
]);

/**
 * The instruction in a word or two, as exits and verdicts name it: `popf` (of any operand size), `push cs`, `mov to ss`,
 * `mov from ds`, `jmp far`.
 */
export function instructionName(instruction: Instruction): string {
  const { mnemonic } = instruction;
  const name = NAMES.get(mnemonic) ?? (Mnemonic[mnemonic] ?? "?").toLowerCase();
  if (mnemonic === Mnemonic.Jmp || mnemonic === Mnemonic.Call) {
    const near = instruction.isJmpNearIndirect || instruction.isCallNearIndirect ||
      instruction.isJmpShortOrNear || instruction.isCallNear;
    return near ? name : `${name} far`;
  }
  for (const operand of [0, 1]) {
    if (operand >= instruction.opCount) break;
    if (instruction.opKind(operand) !== OpKind.Register) continue;
    const register = instruction.opRegister(operand);
    if (register < Register.ES || register > Register.GS) continue;
    if (mnemonic === Mnemonic.Push || mnemonic === Mnemonic.Pop) {
      return `${name} ${segmentName(register)}`;
    }
    if (mnemonic === Mnemonic.Mov) {
      return `${name} ${operand === 0 ? "to" : "from"} ${segmentName(register)}`;
    }
  }
  return name;
}

/**
 * Kind and detail of the exit that `instruction` makes. Reads memory only for OUTS, LMSW and INVPCID (whose page faults come
 * before the exit, as in hardware). The `value` of an IN is not known yet and is 0.
 */
export function exitDetail(
  cpu: Cpu,
  instruction: Instruction,
  operation: SensitiveOperation,
): ExitBody {
  const { state } = cpu;
  const low = (index: number) => Number(BigInt.asUintN(32, state.gpr(index)));
  switch (operation) {
    case "port-io":
      return { kind: "io", detail: ioDetail(cpu, instruction) };
    case "cpuid":
      return { kind: "cpuid", detail: { leaf: low(RAX), subleaf: low(RCX) } };
    case "hlt":
    case "invd":
    case "wbinvd":
    case "rdtsc":
    case "rdtscp":
    case "pause":
      return { kind: operation, detail: {} };
    case "rdpmc":
      return { kind: "rdpmc", detail: { counter: low(RCX) } };
    case "rdmsr":
      return { kind: "msr-read", detail: { msr: low(RCX) } };
    case "wrmsr": {
      const value = (BigInt(low(RDX)) << 32n) | BigInt(low(RAX));
      return { kind: "msr-write", detail: { msr: low(RCX), value } };
    }
    case "mov-from-cr":
    case "mov-from-cr3":
    case "mov-to-cr0":
    case "mov-to-cr2":
    case "mov-to-cr3":
    case "mov-to-cr4":
    case "mov-cr8":
    case "clts":
    case "lmsw":
    case "smsw":
      return { kind: "cr-access", detail: crDetail(cpu, instruction) };
    case "mov-dr": {
      const toDebug = instruction.op0Register >= Register.DR0 &&
        instruction.op0Register <= Register.DR15;
      const register = debugOperand(instruction);
      return { kind: "dr-access", detail: { register, direction: toDebug ? "out" : "in" } };
    }
    case "invlpg": {
      if (instruction.mnemonic === Mnemonic.Invpcid) {
        return { kind: "invpcid", detail: invpcidOperands(cpu, instruction) };
      }
      return { kind: "invlpg", detail: { address: invlpgAddress(cpu, instruction) } };
    }
    case "lgdt-lidt":
    case "sgdt-sidt":
      return { kind: "gdtr-idtr", detail: { instruction: instructionName(instruction) } };
    case "lldt-ltr":
    case "sldt-str":
      return { kind: "ldtr-tr", detail: { instruction: instructionName(instruction) } };
    case "int-n":
      return { kind: "software-interrupt", detail: { vector: interruptVector(instruction) } };
    case "syscall":
      return { kind: "syscall", detail: { number: state.gpr(RAX) } };
    case "vmcall":
      return { kind: "vmcall", detail: { number: state.gpr(RAX) } };
    case "xsetbv": {
      const value = (BigInt(low(RDX)) << 32n) | BigInt(low(RAX));
      return { kind: "xsetbv", detail: { register: low(RCX), value } };
    }
    case "monitor-mwait":
      return { kind: instruction.mnemonic === Mnemonic.Monitor ? "monitor" : "mwait", detail: {} };
    case "lar-lsl-verr-verw":
    case "pushf":
    case "popf":
    case "cli-sti":
    case "segment-load":
    case "segment-store":
    case "far-transfer":
    // Another task's selector is known where the switch is made.
    case "task-switch":
    case "iret":
    case "sysret":
    case "swapgs":
    case "indirect-branch":
      return { kind: "instruction", detail: { instruction: instructionName(instruction) } };
    default:
      return operation satisfies never;
  }
}

/** Vector of INT n, INT3, INT1 or INTO. */
export function interruptVector(instruction: Instruction): number {
  switch (instruction.mnemonic) {
    case Mnemonic.Int3:
      return 3;
    case Mnemonic.Int1:
      return 1;
    case Mnemonic.Into:
      return 4;
    default:
      return instruction.immediate8;
  }
}

/** Linear address that INVLPG names; a non-canonical one is not an error for it. */
export function invlpgAddress(cpu: Cpu, instruction: Instruction): bigint {
  const { segment, offset } = effectiveAddress(cpu, instruction);
  const { state } = cpu;
  if (state.bitness !== 64) return BigInt.asUintN(32, state.segment(segment).base + offset);
  const base = segment === "fs" || segment === "gs" ? state.segment(segment).base : 0n;
  return BigInt.asUintN(64, base + offset);
}

/** What INVPCID is told: its register, and the PCID (reserved bits included) and address of its descriptor. */
export function invpcidOperands(cpu: Cpu, instruction: Instruction): ExitDetails["invpcid"] {
  const { segment, offset } = effectiveAddress(cpu, instruction);
  const linear = linearAddress(cpu.state, segment, offset, INVPCID_DESCRIPTOR, false);
  const descriptor = cpu.memory.read(linear, INVPCID_DESCRIPTOR);
  return {
    type: readRegister(cpu.state, instruction.op0Register),
    pcid: BigInt.asUintN(64, descriptor),
    address: descriptor >> 64n,
  };
}

function ioDetail(cpu: Cpu, instruction: Instruction): ExitDetails["io"] {
  const { state } = cpu;
  const { port, size, direction, string } = portAccess(state, instruction);
  let value = 0n;
  if (direction === "out") {
    if (string) {
      const segment = segmentName(instruction.memorySegment);
      const offset = BigInt.asUintN(stringAddressBits(instruction), state.gpr(RSI));
      value = cpu.memory.read(linearAddress(state, segment, offset, size, false), size);
    } else value = BigInt.asUintN(8 * size, state.gpr(RAX));
  }
  return { port, direction, size, value: Number(value), ...(string && { string }) };
}

function crDetail(cpu: Cpu, instruction: Instruction): ExitDetails["cr-access"] {
  const { state } = cpu;
  switch (instruction.mnemonic) {
    case Mnemonic.Clts:
      return { register: 0, access: "clts", value: 0n };
    case Mnemonic.Smsw:
      return { register: 0, access: "smsw", value: state.control("cr0") & 0xffffn };
    case Mnemonic.Lmsw:
      return { register: 0, access: "lmsw", value: lmswOperand(cpu, instruction) };
    default: {
      const register = controlOperand(instruction);
      if (isMoveToControl(instruction)) {
        return { register, access: "mov-to", value: readRegister(state, instruction.op1Register) };
      }
      const value = isControlRegister(register) ? readControl(state, register) : 0n;
      return { register, access: "mov-from", value };
    }
  }
}

/** The 16 bits that LMSW takes. */
export function lmswOperand(cpu: Cpu, instruction: Instruction): bigint {
  if (instruction.op0Kind === OpKind.Memory) {
    return readPlace(cpu, effectiveAddress(cpu, instruction), 2);
  }
  return readOperand(cpu, instruction, 0, 2) & 0xffffn;
}
