// What measuring asks of the system beyond the KVM engine's own calls: event counters, memory to be given back, and the files
// in which Linux says what machine this is (which Deno itself reads only with every permission).

const SYMBOLS = {
  open: { parameters: ["buffer", "i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  read: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  write: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  eventfd: { parameters: ["u32", "i32"], result: "i32" },
  madvise: { parameters: ["usize", "usize", "i32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

/** <fcntl.h>, <sys/eventfd.h> and <sys/mman.h>, on x86-64. */
const O_RDONLY = 0, O_CLOEXEC = 0x8_0000;
const EFD_NONBLOCK = 0o4000, EFD_CLOEXEC = O_CLOEXEC;
const MADV_REMOVE = 9;
/** Files of /proc are read up to here. */
const LONGEST_FILE = 1 << 16;

let loaded: Deno.DynamicLibrary<typeof SYMBOLS>["symbols"] | undefined;
const c = () => loaded ??= Deno.dlopen("libc.so.6", SYMBOLS).symbols;

/** The start of a file; undefined where it can't be read. */
export function systemFile(path: string): string | undefined {
  const fd = c().open(new TextEncoder().encode(`${path}\0`), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return undefined;
  const bytes = new Uint8Array(LONGEST_FILE);
  const length = Number(c().read(fd, bytes, BigInt(bytes.length)));
  c().close(fd);
  return length < 0 ? undefined : new TextDecoder().decode(bytes.subarray(0, length));
}

/** Gives shared memory back to the system: it reads as zero, and the next touch of each page has to bring it in again. */
export function giveBack(address: bigint, length: number): boolean {
  return c().madvise(address, BigInt(length), MADV_REMOVE) === 0;
}

/** A counter that the kernel adds to, and whoever reads it empties. */
export class EventCounter {
  readonly fd: number;
  readonly #bytes = new Uint8Array(8);
  readonly #view = new DataView(this.#bytes.buffer);

  /** A blocking one makes `take` wait until there is something. */
  constructor({ blocking = false } = {}) {
    this.fd = c().eventfd(0, EFD_CLOEXEC | (blocking ? 0 : EFD_NONBLOCK));
    if (this.fd < 0) throw new Error("There are no event counters");
  }

  /** What has come since the last time; 0: nothing. */
  take(): number {
    const read = c().read(this.fd, this.#bytes, 8n);
    return read === 8n ? Number(this.#view.getBigUint64(0, true)) : 0;
  }

  add(): void {
    addTo(this.fd);
  }

  close(): void {
    c().close(this.fd);
  }
}

const ONE = new Uint8Array(new BigUint64Array([1n]).buffer);

/** One to the counter of this descriptor, in whatever thread it was made. */
export function addTo(fd: number): void {
  c().write(fd, ONE, 8n);
}

/** What a counter made in another thread has; waits for it where that is a blocking one. */
export function takeFrom(fd: number): number {
  const bytes = new BigUint64Array(1);
  return c().read(fd, new Uint8Array(bytes.buffer), 8n) === 8n ? Number(bytes[0]) : 0;
}
