// Machine code by which this process lends its CPU to a few instructions: in 64-bit code, or in 32-bit code behind a far jump.
// All of it stands at fixed addresses below 4 GiB, so that no register is needed to get at anything, and the instructions see
// the same addresses here and in a guest.

/** Where everything is, in this process and in the guest alike. */
export const PLACE = {
  /** Instructions that are tried. */
  code: 0x10_0000,
  codeSize: 0x8_0000,
  /** Memory for their operands and stack. */
  scratch: 0x18_0000,
  scratchSize: 0x1000,
  /** This code, and its data. */
  stub: 0x1a_0000,
  data: 0x1a_1000,
  /** Where signal handlers run. */
  signalStack: 0x1b_0000,
  signalStackSize: 0x1_0000,
} as const;

/** Offsets in the data page. */
export const DATA = {
  /** What is loaded: 16 registers in encoding order, RFLAGS, where to go. */
  registers: 0x000,
  flags: 0x080,
  target: 0x088,
  /** Selector and offset, for 32-bit code. */
  farTarget: 0x090,
  /** What is stored. */
  result: 0x100,
  resultFlags: 0x180,
  /** Which way out was taken. */
  exit: 0x188,
  /** Of a fault. */
  vector: 0x190,
  faultRip: 0x198,
  hostStack: 0x1a0,
  /** Ways out, as near and as far pointers. */
  exits: 0x1c0,
  farExits: 0x200,
} as const;

/** Offsets in the stub's page. */
export const ENTRY = { wide: 0x000, narrow: 0x200, exits: 0x400, fault: 0x600 } as const;
/** Bytes from one way out to the next. */
const EXIT_STRIDE = 0x40;
/** Ways out, the last one being that of a fault. */
export const EXITS = { next: 0, taken: 1, fault: 2 } as const;

/** Linux's selectors for 32-bit user code and for user data (arch/x86/include/asm/segment.h). */
const CODE_32 = 0x23, CODE_64 = 0x33, FLAT_DATA = 0x2b;

const RAX = 0, RSP = 4;
const dword = (value: number) => [value & 255, value >> 8 & 255, value >> 16 & 255, value >>> 24];
/** ModRM and SIB of an absolute address in 64-bit code. */
const absolute = (register: number, address: number) => [
  (register & 7) << 3 | 4,
  0x25,
  ...dword(address),
];
const at = (offset: number) => PLACE.data + offset;
const load = (register: number, offset: number) => [
  0x48 | register >> 3 << 2,
  0x8b,
  ...absolute(register, at(offset)),
];
const store = (register: number, offset: number) => [
  0x48 | register >> 3 << 2,
  0x89,
  ...absolute(register, at(offset)),
];
const setStack = (address: number) => [0xbc, ...dword(address)];
const each = (emit: (register: number) => number[]) =>
  Array.from({ length: 16 }, (_, register) => emit(register)).flat();

const POP_FLAGS = 0x9d, PUSH_FLAGS = 0x9c;
/** PUSH RBX, RBP, R12 to R15: what a function must keep. */
const KEEP = [0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57];
const RESTORE = [0x41, 0x5f, 0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c, 0x5d, 0x5b];

const enter = [
  ...KEEP,
  ...store(RSP, DATA.hostStack),
  ...setStack(at(DATA.flags)),
  POP_FLAGS,
];
const loadAll = each((register) => load(register, DATA.registers + 8 * register));
const wide = [
  ...enter,
  ...loadAll,
  // jmp [target]
  ...[0xff, ...absolute(4, at(DATA.target))],
];
const narrow = [
  ...enter,
  // DS and ES are null in 64-bit processes: mov eax, FLAT_DATA; mov ds, eax; mov es, eax.
  ...[0xb8, ...dword(FLAT_DATA), 0x8e, 0xd8, 0x8e, 0xc0],
  ...loadAll,
  // jmp far [farTarget]
  ...[0xff, ...absolute(5, at(DATA.farTarget))],
];

const leave = [
  ...each((register) => store(register, DATA.result + 8 * register)),
  ...setStack(at(DATA.resultFlags) + 8),
  PUSH_FLAGS,
  ...load(RSP, DATA.hostStack),
  // push 0x202; popfq: no flag that this process does not expect.
  ...[0x68, ...dword(0x202), POP_FLAGS],
  ...RESTORE,
  0xc3,
];
const COMMON_EXIT = EXIT_STRIDE * 4;
const jump = (from: number, to: number) => [0xe9, ...dword(to - from - 5)];
const exit = (number: number) => {
  // mov dword [exit], number
  const mark = [0xc7, ...absolute(0, at(DATA.exit)), ...dword(number)];
  const from = EXIT_STRIDE * number + mark.length;
  return [...mark, ...jump(from, COMMON_EXIT)];
};

/** Offsets in Linux's `ucontext_t` (sys/ucontext.h): general registers from 40 on, by REG_RIP and so on. */
const CONTEXT = { rip: 40 + 8 * 16, selectors: 40 + 8 * 18, vector: 40 + 8 * 20 } as const;
/** A handler (signal, information, context): notes what has happened, and goes on at the way out for faults. */
const fault = () => {
  const take = (from: number, to: number) => [
    // mov rax, [rdx + from]; mov [to], rax
    ...[0x48, 0x8b, 0x82, ...dword(from)],
    ...store(RAX, to),
  ];
  return [
    ...take(CONTEXT.vector, DATA.vector),
    ...take(CONTEXT.rip, DATA.faultRip),
    // mov qword [rdx + rip], way out; mov word [rdx + selectors], CODE_64
    ...[0x48, 0xc7, 0x82, ...dword(CONTEXT.rip)],
    ...dword(PLACE.stub + ENTRY.exits + EXIT_STRIDE * EXITS.fault),
    ...[0x66, 0xc7, 0x82, ...dword(CONTEXT.selectors), CODE_64, 0],
    0xc3,
  ];
};

/** Writes the stub's code and the constant part of its data. */
export function writeStub(code: Uint8Array, data: DataView): void {
  code.set(wide, ENTRY.wide);
  code.set(narrow, ENTRY.narrow);
  for (const number of Object.values(EXITS)) {
    code.set(exit(number), ENTRY.exits + EXIT_STRIDE * number);
    const address = PLACE.stub + ENTRY.exits + EXIT_STRIDE * number;
    data.setBigUint64(DATA.exits + 8 * number, BigInt(address), true);
    data.setUint32(DATA.farExits + 8 * number, address, true);
    data.setUint16(DATA.farExits + 8 * number + 4, CODE_64, true);
  }
  code.set(leave, ENTRY.exits + COMMON_EXIT);
  code.set(fault(), ENTRY.fault);
  data.setUint16(DATA.farTarget + 4, CODE_32, true);
}

/** What instructions end with, so that they leave by a way out: `jmp [exits + 8 * number]`, far in 32-bit code. */
export function leaveBy(number: number, bits: 32 | 64): number[] {
  return bits === 64
    ? [0xff, ...absolute(4, at(DATA.exits + 8 * number))]
    : [0xff, 0x2d, ...dword(at(DATA.farExits + 8 * number))];
}
