// IN, OUT, INS and OUTS: one element a call.
import { type Instruction, Register } from "iced-x86";
import { CR4, RFLAGS } from "../../base/registers.ts";
import type { Cpu } from "../cpu.ts";
import { linearAddress } from "../linear.ts";
import { segmentName, writePart } from "../operands.ts";
import {
  isIdleRepeat,
  isRepeated,
  type PortAccess,
  portAccess,
  stringAddressBits,
} from "../ports.ts";
import { advance, type Effect } from "./handler.ts";

const RAX = 0, RCX = 1, RSI = 6, RDI = 7;

/** RIP stays at a repeated INS or OUTS until its count is used up. */
export function portIo(cpu: Cpu, instruction: Instruction): Effect {
  const { state } = cpu;
  const access = portAccess(state, instruction);
  const { size, string } = access;
  if (string) {
    if (!isIdleRepeat(state, instruction)) moveElement(cpu, instruction, access);
    if (isRepeated(instruction) && !isIdleRepeat(state, instruction)) {
      // What comes between two elements is told that the instruction has begun (SDM vol. 3, 18.3.1.1).
      state.resuming = true;
      return "next";
    }
  } else if (access.direction === "in") writePart(state, RAX, size, input(cpu, access));
  else output(cpu, access, BigInt.asUintN(8 * size, state.gpr(RAX)));
  advance(state, instruction);
  return "next";
}

/** I/O breakpoints are there with CR4.DE alone (SDM vol. 3, 18.2.4, R/W0 to R/W3). */
function meetBreakpoints({ state }: Cpu, { port, size }: PortAccess): void {
  if (state.control("cr4") & BigInt(CR4.DE)) state.breakpoints.port(port, size);
}

function busOf(cpu: Cpu) {
  const { bus } = cpu.surroundings;
  if (!bus) throw new Error("Port I/O was executed on a CPU that has no bus");
  cpu.surroundings.count("port-io");
  return bus;
}

function input(cpu: Cpu, access: PortAccess): bigint {
  meetBreakpoints(cpu, access);
  return BigInt(busOf(cpu).read("port", access.port, access.size));
}

function output(cpu: Cpu, access: PortAccess, value: bigint): void {
  meetBreakpoints(cpu, access);
  busOf(cpu).write("port", access.port, access.size, Number(value));
}

function moveElement(cpu: Cpu, instruction: Instruction, access: PortAccess): void {
  const { state } = cpu;
  const { size } = access;
  const bits = stringAddressBits(instruction);
  const store = access.direction === "in";
  const pointer = store ? RDI : RSI;
  const offset = BigInt.asUintN(bits, state.gpr(pointer));
  const segment = segmentName(store ? Register.ES : instruction.memorySegment);
  const linear = linearAddress(state, segment, offset, size, store);
  if (store) {
    // The device must not lose a value that then can't be stored: both ends are translated first.
    const type = { write: true, execute: false, user: state.cpl === 3 };
    cpu.memory.translate(linear, type);
    const end = linear + BigInt(size - 1);
    // A fault in the second page is told of at its first byte.
    if ((end ^ linear) >> 12n) cpu.memory.translate(end & ~0xfffn, type);
    cpu.memory.write(linear, size, input(cpu, access));
  } else output(cpu, access, cpu.memory.read(linear, size));
  const step = state.systemFlags & RFLAGS.DF ? -size : size;
  writePart(state, pointer, bits / 8, offset + BigInt(step));
  if (isRepeated(instruction)) {
    writePart(state, RCX, bits / 8, BigInt.asUintN(bits, state.gpr(RCX)) - 1n);
  }
}
