// Runs a few user-mode instructions on the CPU under this process, through FFI: the oracle of the embedded engine's tests.
// Test code: nothing in trivisor's pipeline imports it.
import { fromHexBytes } from "../../base/hex.ts";

/** Where the scratch memory of memory operands is, in this process and in the guest alike. */
export const SCRATCH = 0x180000;
export const SCRATCH_SIZE = 512;

/** Loads RFLAGS and all registers but RSP from the block at RDI; then there is room for what is tried. */
const PROLOGUE = fromHexBytes(
  "5355415441554156415757ffb7800000009d488b07488b4f08488b5710488b5f18488b6f28488b77304c8b47404c8b4f484c8b57504c8b5f58" +
    "4c8b67604c8b6f684c8b77704c8b7f78488b7f38",
);
/** Stores them back. */
const EPILOGUE = fromHexBytes(
  "48873c2448890748894f084889571048895f1848896f28488977304c8947404c894f484c8957504c895f584c8967604c896f684c8977704c897f" +
    "789c58488987800000005848894738fc415f415e415d415c5d5bc3",
);
const NOP = 0x90;
/** Bytes between them, for what is tried. */
export const ROOM = 640;
const PROT_READ = 1, PROT_WRITE = 2, PROT_EXEC = 4;
const MAP_PRIVATE = 2, MAP_FIXED_NOREPLACE = 0x100000, MAP_ANONYMOUS = 0x20;

function openLibc() {
  return Deno.dlopen("libc.so.6", {
    mmap: { parameters: ["usize", "usize", "i32", "i32", "i32", "i64"], result: "pointer" },
    munmap: { parameters: ["usize", "usize"], result: "i32" },
  });
}

const SIGNATURE = { parameters: ["buffer"], result: "void" } as const;

/** State afterwards. */
export interface HostResult {
  readonly registers: bigint[];
  readonly flags: bigint;
  readonly memory: Uint8Array;
}

export class HostCpu {
  readonly #libc = openLibc();
  readonly #code: Uint8Array;
  readonly #scratch: Uint8Array;
  readonly #codeAddress: bigint;
  readonly #call: Deno.UnsafeFnPointer<typeof SIGNATURE>;

  constructor() {
    this.#scratch = this.#map(SCRATCH, PROT_READ | PROT_WRITE).bytes;
    const code = this.#map(0, PROT_READ | PROT_WRITE | PROT_EXEC);
    this.#code = code.bytes;
    this.#codeAddress = BigInt(Deno.UnsafePointer.value(code.pointer));
    const entry = Deno.UnsafePointer.create<typeof SIGNATURE>(this.#codeAddress);
    if (!entry) throw new Error("the host maps code at address 0");
    this.#call = new Deno.UnsafeFnPointer(entry, SIGNATURE);
  }

  #map(address: number, protection: number): { bytes: Uint8Array; pointer: Deno.PointerObject } {
    const flags = MAP_PRIVATE | MAP_ANONYMOUS | (address ? MAP_FIXED_NOREPLACE : 0);
    const pointer = this.#libc.symbols.mmap(BigInt(address), 4096n, protection, flags, -1, 0n);
    if (!pointer || (address && BigInt(Deno.UnsafePointer.value(pointer)) !== BigInt(address))) {
      throw new Error("the host does not map the memory that the oracle needs");
    }
    return { bytes: new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(pointer, 4096)), pointer };
  }

  /** Runs instructions of at most ROOM bytes, which must not fault, touch RSP or leave the scratch memory. */
  run(
    code: Uint8Array,
    registers: readonly bigint[],
    flags: bigint,
    memory: Uint8Array,
  ): HostResult {
    this.#code.set(PROLOGUE);
    this.#code.fill(NOP, PROLOGUE.length, PROLOGUE.length + ROOM);
    this.#code.set(code, PROLOGUE.length);
    this.#code.set(EPILOGUE, PROLOGUE.length + ROOM);
    this.#scratch.set(memory);
    const block = new BigUint64Array(17);
    registers.forEach((value, i) => block[i] = value);
    block[16] = flags;
    this.#call.call(new Uint8Array(block.buffer));
    return {
      registers: [...block.subarray(0, 16)],
      flags: block[16] ?? 0n,
      memory: this.#scratch.slice(0, memory.length),
    };
  }

  [Symbol.dispose](): void {
    this.#libc.symbols.munmap(BigInt(SCRATCH), 4096n);
    this.#libc.symbols.munmap(this.#codeAddress, 4096n);
    this.#libc.close();
  }
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
