// For tests of single instructions: a vCPU in long mode, code that runs to its HLT or to its fault, and memory looked at.
import { gpa } from "../../base/address.ts";
import type { Vcpu } from "../vcpu.ts";
import { bareImage, everyException, startedVcpu } from "../testing.ts";
import { embedded } from "./engine.ts";

const MEMORY = 2 << 20;
export const CODE = 0x100000;
/** Where RSI and RDI point, unless told otherwise. */
export const DATA = 0x120000, IMAGE = 0x128000;
const HLT = 0xf4;

export function guest(): Vcpu {
  const image = bareImage({ entry: "long64", memory: MEMORY, start: CODE });
  return startedVcpu(embedded, image, { controls: everyException() });
}

/** Runs code to its HLT, or to its fault: vector, error code, address. `budget`: instructions a turn. */
export function run(vcpu: Vcpu, code: number[], rsi = DATA, budget = 1000): unknown[] {
  vcpu.memory.write(gpa(CODE), Uint8Array.from([...code, HLT]));
  vcpu.set("rip", BigInt(CODE));
  vcpu.set("rsi", BigInt(rsi));
  vcpu.set("rdi", BigInt(IMAGE));
  for (;;) {
    const stop = vcpu.run(budget);
    if (stop.reason === "budget") continue;
    if (stop.reason !== "exit" || stop.exit.kind !== "exception") return [stop.reason];
    const { vector, errorCode, address } = stop.exit.detail;
    return [vector, errorCode, address].filter((value) => value !== undefined);
  }
}

export function poke(vcpu: Vcpu, at: number, ...values: number[]): void {
  vcpu.memory.write(gpa(at), new Uint8Array(Uint32Array.from(values).buffer));
}

/** Maps the first 2 MiB to themselves in small pages, but for one. */
export function mapWithout(vcpu: Vcpu, missing: number): void {
  const TABLES = 0x180000, PRESENT_WRITABLE = 3;
  for (let level = 0; level < 3; level++) {
    poke(vcpu, TABLES + 0x1000 * level, TABLES + 0x1000 * (level + 1) | PRESENT_WRITABLE, 0);
  }
  for (let page = 0; page < 512; page++) {
    const entry = page * 4096 === missing ? 0 : page * 4096 | PRESENT_WRITABLE;
    poke(vcpu, TABLES + 0x3000 + 8 * page, entry, 0);
  }
  vcpu.set("cr3", BigInt(TABLES));
}
