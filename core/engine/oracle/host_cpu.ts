// Runs a few user-mode instructions on the CPU under this process, through FFI: the oracle of the embedded engine's tests.
// Faults are caught and told. Test code: nothing in trivisor's pipeline imports it.
import { DATA, ENTRY, EXITS, leaveBy, PLACE, writeStub } from "./host_stub.ts";

const PROT_READ = 1, PROT_WRITE = 2, PROT_EXEC = 4;
const MAP_PRIVATE = 2, MAP_FIXED_NOREPLACE = 0x100000, MAP_ANONYMOUS = 0x20;
/** Signals that exceptions become. */
const SIGILL = 4, SIGTRAP = 5, SIGBUS = 7, SIGFPE = 8, SIGSEGV = 11;
/** Those that nobody else here waits for; the engine's own runtime handles SIGSEGV between the runs. */
const OURS = [SIGILL, SIGTRAP, SIGBUS, SIGFPE];
const SA_SIGINFO = 4, SA_ONSTACK = 0x0800_0000, SA_NODEFER = 0x4000_0000;
/** Bytes of glibc's `struct sigaction`, and where its flags are. */
const SIGACTION_SIZE = 152, SIGACTION_FLAGS = 136;
/** Bytes of `stack_t`. */
const STACK_T_SIZE = 24;

function openLibc() {
  return Deno.dlopen("libc.so.6", {
    mmap: { parameters: ["usize", "usize", "i32", "i32", "i32", "i64"], result: "pointer" },
    munmap: { parameters: ["usize", "usize"], result: "i32" },
    sigaction: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
    sigaltstack: { parameters: ["buffer", "buffer"], result: "i32" },
  });
}

const SIGNATURE = { parameters: [], result: "void" } as const;

/** State before. */
export interface HostState {
  /** In encoding order. */
  readonly registers: readonly bigint[];
  readonly flags: bigint;
  /** Scratch memory, from its start on. */
  readonly memory: Uint8Array;
}

/** State afterwards. */
export interface HostResult {
  readonly registers: bigint[];
  readonly flags: bigint;
  readonly memory: Uint8Array;
  readonly end: HostEnd;
}

/** By which of the program's ways out it has ended; or the vector of the exception that it raised, and where. */
export type HostEnd = "next" | "taken" | { readonly vector: number; readonly rip: number };

/** What is run. */
export interface HostProgram {
  readonly bits: 32 | 64;
  /** Address of the first instruction. */
  readonly at: number;
  readonly code: Uint8Array;
  /** Where control may go instead of what follows the code. */
  readonly taken?: number;
}

export class HostCpu {
  readonly #libc = openLibc();
  readonly #code: Uint8Array;
  readonly #scratch: Uint8Array;
  readonly #data: DataView;
  readonly #entries;
  readonly #handler = new Uint8Array(SIGACTION_SIZE);
  readonly #previous = new Map(
    [...OURS, SIGSEGV].map((signal) => [signal, new Uint8Array(SIGACTION_SIZE)]),
  );
  readonly #previousStack = new Uint8Array(STACK_T_SIZE);
  readonly #nothing = new Uint8Array(SIGACTION_SIZE);

  constructor() {
    const rw = PROT_READ | PROT_WRITE;
    this.#scratch = this.#map(PLACE.scratch, PLACE.scratchSize, rw);
    this.#code = this.#map(PLACE.code, PLACE.codeSize, rw | PROT_EXEC);
    const stub = this.#map(PLACE.stub, 4096, rw | PROT_EXEC);
    this.#data = new DataView(this.#map(PLACE.data, 4096, rw).buffer);
    this.#map(PLACE.signalStack, PLACE.signalStackSize, rw);
    writeStub(stub, this.#data);
    this.#entries = { 64: callable(ENTRY.wide), 32: callable(ENTRY.narrow) };
    const handler = new DataView(this.#handler.buffer);
    handler.setBigUint64(0, BigInt(PLACE.stub + ENTRY.fault), true);
    handler.setUint32(SIGACTION_FLAGS, SA_SIGINFO | SA_ONSTACK | SA_NODEFER, true);
    const stack = new DataView(new ArrayBuffer(STACK_T_SIZE));
    stack.setBigUint64(0, BigInt(PLACE.signalStack), true);
    stack.setBigUint64(16, BigInt(PLACE.signalStackSize), true);
    this.#libc.symbols.sigaltstack(new Uint8Array(stack.buffer), this.#previousStack);
    OURS.forEach((signal) => this.#handle(signal));
  }

  #map(address: number, size: number, protection: number): Uint8Array {
    const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
    const pointer = this.#libc.symbols.mmap(
      BigInt(address),
      BigInt(size),
      protection,
      flags,
      -1,
      0n,
    );
    if (!pointer || Number(Deno.UnsafePointer.value(pointer)) !== address) {
      throw new Error("the host does not map the memory that the oracle needs");
    }
    return new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(pointer, size));
  }

  #handle(signal: number): void {
    const previous = this.#previous.get(signal) ?? this.#nothing;
    this.#libc.symbols.sigaction(signal, this.#handler, previous);
  }
  #unhandle(signal: number): void {
    const previous = this.#previous.get(signal) ?? this.#nothing;
    this.#libc.symbols.sigaction(signal, previous, this.#nothing);
  }

  /** Runs instructions that leave the scratch memory alone, or fault. */
  run(program: HostProgram, state: HostState): HostResult {
    const { bits, at, code, taken } = program;
    const data = this.#data;
    const offset = at - PLACE.code;
    this.#code.set(code, offset);
    this.#code.set(leaveBy(EXITS.next, bits), offset + code.length);
    if (taken !== undefined) this.#code.set(leaveBy(EXITS.taken, bits), taken - PLACE.code);
    this.#scratch.set(state.memory);
    state.registers.forEach((value, i) => data.setBigUint64(DATA.registers + 8 * i, value, true));
    data.setBigUint64(DATA.flags, state.flags, true);
    data.setBigUint64(DATA.target, BigInt(at), true);
    data.setUint32(DATA.farTarget, at, true);
    this.#handle(SIGSEGV);
    this.#entries[bits].call();
    this.#unhandle(SIGSEGV);
    return {
      registers: state.registers.map((_, i) => data.getBigUint64(DATA.result + 8 * i, true)),
      flags: data.getBigUint64(DATA.resultFlags, true),
      memory: this.#scratch.slice(0, state.memory.length),
      end: this.#end(),
    };
  }

  #end(): HostEnd {
    const exit = this.#data.getUint32(DATA.exit, true);
    if (exit === EXITS.next) return "next";
    if (exit === EXITS.taken) return "taken";
    const number = (at: number) => Number(this.#data.getBigUint64(at, true));
    return { vector: number(DATA.vector), rip: number(DATA.faultRip) };
  }

  [Symbol.dispose](): void {
    OURS.forEach((signal) => this.#unhandle(signal));
    this.#libc.symbols.sigaltstack(this.#previousStack, this.#nothing);
    for (
      const [address, size] of [
        [PLACE.scratch, PLACE.scratchSize],
        [PLACE.code, PLACE.codeSize],
        [PLACE.stub, 4096],
        [PLACE.data, 4096],
        [PLACE.signalStack, PLACE.signalStackSize],
      ] as const
    ) this.#libc.symbols.munmap(BigInt(address), BigInt(size));
    this.#libc.close();
  }
}

function callable(offset: number) {
  const entry = Deno.UnsafePointer.create<typeof SIGNATURE>(BigInt(PLACE.stub + offset));
  if (!entry) throw new Error("the host maps code at address 0");
  return new Deno.UnsafeFnPointer(entry, SIGNATURE);
}

/** Why this host can't be asked, if it can't. */
export const HOST_ORACLE_UNAVAILABLE: string | undefined = unavailable();

function unavailable(): string | undefined {
  if (Deno.build.arch !== "x86_64" || Deno.build.os !== "linux") {
    return "the host is not x86-64 Linux";
  }
  if (Deno.permissions.querySync({ name: "ffi" }).state !== "granted") {
    return "no permission for FFI";
  }
  try {
    new HostCpu()[Symbol.dispose]();
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  return undefined;
}
