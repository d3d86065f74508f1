// IN, OUT, INS and OUTS: one element a call.
import { type Instruction, Register } from "iced-x86";
import { linearAddress } from "../linear.ts";
import { segmentName, writePart } from "../operands.ts";
import type { Cpu } from "../cpu.ts";
import {
  isIdleRepeat,
  isRepeated,
  type PortAccess,
  portAccess,
  stringAddressBits,
} from "../ports.ts";
import { RFLAGS } from "../../base/registers.ts";
import { advance, type Effect } from "./handler.ts";

const RAX = 0, RCX = 1, RSI = 6, RDI = 7;

/** What is on the other side of the port. */
interface Far {
  read(access: PortAccess): number;
  write(access: PortAccess, value: number): void;
}

/** Executes on the bus. RIP stays at a repeated INS or OUTS until its count is used up. */
export function portIo(cpu: Cpu, instruction: Instruction): Effect {
  const { bus } = cpu.surroundings;
  if (!bus) throw new Error("Port I/O was executed on a CPU that has no bus");
  return move(cpu, instruction, {
    read: ({ port, size }) => {
      cpu.surroundings.count("port-io");
      return bus.read("port", port, size);
    },
    write: ({ port, size }, value) => {
      cpu.surroundings.count("port-io");
      bus.write("port", port, size, value);
    },
  });
}

/**
 * Finishes a port instruction that exited: `value` is what an IN or INS reads; what an OUT wrote, the VMM has. RIP moves on
 * unless a repeated one has elements left. Throws `GuestFault` if INS can't store.
 */
export function completePortIo(cpu: Cpu, instruction: Instruction, value = 0n): Effect {
  return move(cpu, instruction, { read: () => Number(value), write: () => {} });
}

function move(cpu: Cpu, instruction: Instruction, far: Far): Effect {
  const { state } = cpu;
  const access = portAccess(state, instruction);
  if (access.string) {
    if (!isIdleRepeat(state, instruction)) moveElement(cpu, instruction, access, far);
    if (!isRepeated(instruction) || isIdleRepeat(state, instruction)) advance(state, instruction);
    return "next";
  }
  if (access.direction === "in") {
    writePart(state, RAX, access.size, BigInt(far.read(access)));
  } else far.write(access, Number(BigInt.asUintN(8 * access.size, state.gpr(RAX))));
  advance(state, instruction);
  return "next";
}

function moveElement(cpu: Cpu, instruction: Instruction, access: PortAccess, far: Far): void {
  const { state } = cpu;
  const { size } = access;
  const bits = stringAddressBits(instruction);
  const input = access.direction === "in";
  const pointer = input ? RDI : RSI;
  const offset = BigInt.asUintN(bits, state.gpr(pointer));
  const segment = segmentName(input ? Register.ES : instruction.memorySegment);
  const linear = linearAddress(state, segment, offset, size, input);
  if (input) {
    // The device must not lose a value that then can't be stored: both ends are translated first.
    const type = { write: true, execute: false, user: state.cpl === 3 };
    cpu.memory.translate(linear, type);
    cpu.memory.translate(linear + BigInt(size - 1), type);
    cpu.memory.write(linear, size, BigInt(far.read(access)));
  } else far.write(access, Number(cpu.memory.read(linear, size)));
  const step = state.rflags & BigInt(RFLAGS.DF) ? -size : size;
  writePart(state, pointer, bits / 8, offset + BigInt(step));
  if (isRepeated(instruction)) {
    writePart(state, RCX, bits / 8, BigInt.asUintN(bits, state.gpr(RCX)) - 1n);
  }
}
