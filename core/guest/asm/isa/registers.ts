// Register names, and what kind each of iced's register numbers is.
import { Register } from "iced-x86";

/** What an operand's register can be. `gpr` comes in four sizes. */
export type RegisterClass =
  | "gpr8"
  | "gpr16"
  | "gpr32"
  | "gpr64"
  | "segment"
  | "control"
  | "debug"
  | "test"
  | "st"
  | "mm"
  | "xmm"
  | "ymm"
  | "bound"
  | "other";

interface Run {
  readonly first: Register;
  readonly last: Register;
  readonly is: RegisterClass;
  /** Bytes. */
  readonly size: number;
}

/** iced numbers the registers of a class in a row. */
const RUNS: readonly Run[] = [
  { first: Register.AL, last: Register.R15L, is: "gpr8", size: 1 },
  { first: Register.AX, last: Register.R15W, is: "gpr16", size: 2 },
  { first: Register.EAX, last: Register.R15D, is: "gpr32", size: 4 },
  { first: Register.RAX, last: Register.R15, is: "gpr64", size: 8 },
  { first: Register.ES, last: Register.GS, is: "segment", size: 2 },
  { first: Register.XMM0, last: Register.XMM15, is: "xmm", size: 16 },
  { first: Register.YMM0, last: Register.YMM15, is: "ymm", size: 32 },
  { first: Register.BND0, last: Register.BND3, is: "bound", size: 16 },
  { first: Register.CR0, last: Register.CR15, is: "control", size: 8 },
  { first: Register.DR0, last: Register.DR15, is: "debug", size: 8 },
  { first: Register.ST0, last: Register.ST7, is: "st", size: 10 },
  { first: Register.MM0, last: Register.MM7, is: "mm", size: 8 },
  { first: Register.TR0, last: Register.TR7, is: "test", size: 4 },
];

const OTHER: Run = { first: Register.None, last: Register.None, is: "other", size: 0 };

const BY_NUMBER: readonly Run[] = (() => {
  const table: Run[] = [];
  for (const run of RUNS) for (let r: number = run.first; r <= run.last; r++) table[r] = run;
  return table;
})();

const NAMES = new Map<string, number>();
const NUMBERS: string[] = [];
for (const run of RUNS) {
  for (let r: number = run.first; r <= run.last; r++) {
    // NASM calls r8's low byte r8b; iced, as AMD once did, R8L.
    const name = (Register[r] ?? "").toLowerCase().replace(/^(r\d+)l$/, "$1b");
    NAMES.set(name, r);
    NUMBERS[r] = name;
  }
}

/** iced's number of a register, whatever the case of its name; undefined if there is none of that name. */
export function registerNamed(name: string): number | undefined {
  return name.length > 5 ? undefined : NAMES.get(name) ?? NAMES.get(name.toLowerCase());
}

export function registerName(register: number): string {
  return NUMBERS[register] ?? `register ${register}`;
}

export const REGISTER_NAMES: readonly string[] = [...NAMES.keys()];

export function registerClass(register: number): RegisterClass {
  return (BY_NUMBER[register] ?? OTHER).is;
}

/** Bytes; 0 for what is no register. */
export function registerSize(register: number): number {
  return (BY_NUMBER[register] ?? OTHER).size;
}

/** Position in its class: 0 for al, ax, eax, rax, es, xmm0. */
export function registerIndex(register: number): number {
  return register - (BY_NUMBER[register] ?? OTHER).first;
}

const GENERAL: Readonly<Record<number, Register>> = {
  2: Register.AX,
  4: Register.EAX,
  8: Register.RAX,
};

/** The general register of the same number with another size (2, 4 or 8 bytes); a byte register stays what it is. */
export function resized(register: number, size: number): number {
  const first = GENERAL[size];
  const is = registerClass(register);
  if (first === undefined || !(is === "gpr16" || is === "gpr32" || is === "gpr64")) return register;
  return first + registerIndex(register);
}

/** Does it exist outside 64-bit mode? */
export function needsLongMode(register: number): boolean {
  const index = registerIndex(register);
  switch (registerClass(register)) {
    case "gpr8":
      return index >= 8;
    case "gpr64":
      return true;
    case "gpr16":
    case "gpr32":
    case "xmm":
    case "ymm":
    case "control":
    case "debug":
      return index >= 8;
    default:
      return false;
  }
}
