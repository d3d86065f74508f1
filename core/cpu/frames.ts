// What an interrupt or exception pushes, and on which stack, in long mode and in protected mode.
import type { Cpu } from "./cpu.ts";
import { type Loading, markAccessed, nullSegment } from "./descriptors.ts";
import { type Gate, innerStack, longModeStack } from "./gates.ts";
import { isVirtual8086 } from "./linear.ts";
import { Stack } from "./stack.ts";

/** What a handler finds on its stack, apart from what the CPU was. */
export interface Frame {
  /** Code of the handler. */
  readonly cs: Loading;
  readonly image: bigint;
  readonly returnTo: bigint;
  readonly errorCode: number | undefined;
}

/** Pushes the long-mode frame, and loads CS: SS and RSP always, on a stack aligned to 16 bytes. */
export function enterLongMode(
  cpu: Cpu,
  gate: Gate,
  level: number,
  frame: Frame,
  ext: number,
): void {
  const { state } = cpu;
  const inner = level < state.cpl;
  const ss = state.segment("ss");
  const rsp = state.get("rsp");
  const top = inner || gate.ist ? longModeStack(cpu, level, gate.ist, ext) : rsp;
  const newSs = inner ? nullSegment(level, level) : ss;
  const stack = new Stack(cpu, {
    ss: newSs,
    sp: top & ~0xfn,
    width: 8,
    user: level === 3,
    errorCode: ext,
  });
  stack.push(8, BigInt(ss.selector));
  stack.push(8, rsp);
  stack.push(8, frame.image);
  stack.push(8, BigInt(state.segment("cs").selector));
  stack.push(8, frame.returnTo);
  if (frame.errorCode !== undefined) stack.push(8, BigInt(frame.errorCode));
  const cs = markAccessed(cpu, frame.cs);
  stack.commit();
  state.setSegment("ss", newSs);
  state.setSegment("cs", cs);
}

/** Pushes the 16-bit or 32-bit frame, and loads CS: on the inner level's stack if the level changes. */
export function enterProtectedMode(
  cpu: Cpu,
  gate: Gate,
  level: number,
  frame: Frame,
  ext: number,
): void {
  const { state } = cpu;
  const { size } = gate;
  const push = (stack: Stack, ...names: ("cs" | "ss" | "ds" | "es" | "fs" | "gs")[]) => {
    for (const name of names) stack.push(size, BigInt(state.segment(name).selector));
  };
  const virtual = isVirtual8086(state);
  const inner = level < state.cpl ? innerStack(cpu, level, ext) : undefined;
  const stack = new Stack(cpu, inner);
  if (virtual) push(stack, "gs", "fs", "ds", "es");
  if (inner) {
    push(stack, "ss");
    stack.push(size, state.get("rsp"));
  }
  stack.push(size, frame.image);
  push(stack, "cs");
  stack.push(size, frame.returnTo);
  if (frame.errorCode !== undefined) stack.push(size, BigInt(frame.errorCode));
  const [ss, cs] = [inner && markAccessed(cpu, inner.ss), markAccessed(cpu, frame.cs)];
  stack.commit();
  if (ss) state.setSegment("ss", ss);
  state.setSegment("cs", cs);
  if (virtual) {
    for (const name of ["es", "ds", "fs", "gs"] as const) state.setSegment(name, nullSegment(0));
  }
}
