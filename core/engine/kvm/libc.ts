// The C library's functions that KVM needs, by Deno's FFI, and errors with the names of their numbers. A call that fails
// throws; KVM_RUN alone has its own path (`call`), as being interrupted is no failure.
import type { Holdings } from "./holdings.ts";

/** errno values that people meet here (asm-generic/errno-base.h). */
const ERRNO: Readonly<Record<number, string>> = {
  1: "EPERM",
  2: "ENOENT",
  4: "EINTR",
  5: "EIO",
  7: "E2BIG",
  9: "EBADF",
  11: "EAGAIN",
  12: "ENOMEM",
  13: "EACCES",
  14: "EFAULT",
  16: "EBUSY",
  17: "EEXIST",
  19: "ENODEV",
  22: "EINVAL",
  24: "EMFILE",
  25: "ENOTTY",
  28: "ENOSPC",
  95: "EOPNOTSUPP",
};
export const EINTR = 4;
const ESRCH = 3;

/** A call of the C library's that failed. */
export class SystemError extends Error {
  override readonly name = "SystemError";
  constructor(readonly call: string, readonly errno: number) {
    super(`${call} failed: ${ERRNO[errno] ?? `error ${errno}`}`);
  }
}

/** Constants of <sys/mman.h>, <fcntl.h>, <signal.h> and <time.h>, on x86-64. */
export const PROT = { READ: 1, WRITE: 2 } as const;
export const MAP = { SHARED: 1, ANONYMOUS: 0x20, NORESERVE: 0x4000 } as const;
const O_NONBLOCK = 0o4000;
const O_RDWR = 2, O_CLOEXEC = 0x8_0000;
const MAP_FAILED = 2n ** 64n - 1n;
export const SIG_BLOCK = 0, SIG_UNBLOCK = 1;
const CLOCK_MONOTONIC = 1;
const SIGEV_THREAD_ID = 4;
/** Bytes of glibc's structures, and the fields that are set. */
const SIGEVENT = { size: 64, signo: 8, notify: 12, tid: 16 } as const;
const ITIMERSPEC = { size: 32, seconds: 16, nanoseconds: 24 } as const;
/** `struct utsname`: six strings of 65 bytes; the third is the kernel's release. */
const UTSNAME = { size: 6 * 65, release: 2 * 65, length: 65 } as const;
/** Bytes of glibc's `sigset_t`, and of the kernel's. */
const SIGSET_SIZE = 128;
export const KERNEL_SIGSET_SIZE = 8;

const SYMBOLS = {
  open: { parameters: ["buffer", "i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  ioctl: { parameters: ["i32", "u32", "usize"], result: "i32" },
  ioctl_buffer: { name: "ioctl", parameters: ["i32", "u32", "buffer"], result: "i32" },
  mmap: { parameters: ["usize", "usize", "i32", "i32", "i32", "i64"], result: "pointer" },
  munmap: { parameters: ["pointer", "usize"], result: "i32" },
  pread: { parameters: ["i32", "buffer", "usize", "i64"], result: "isize" },
  access: { parameters: ["buffer", "i32"], result: "i32" },
  uname: { parameters: ["buffer"], result: "i32" },
  read: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  write: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  eventfd: { parameters: ["u32", "i32"], result: "i32" },
  gettid: { parameters: [], result: "i32" },
  tgkill: { parameters: ["i32", "i32", "i32"], result: "i32" },
  pthread_sigmask: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  sigtimedwait: { parameters: ["buffer", "pointer", "buffer"], result: "i32" },
  timer_create: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  timer_settime: { parameters: ["usize", "i32", "buffer", "pointer"], result: "i32" },
  timer_delete: { parameters: ["usize"], result: "i32" },
  __errno_location: { parameters: [], result: "pointer" },
} as const satisfies Deno.ForeignLibraryInterface;

/** Memory that the kernel has mapped into this process. */
export interface Mapping {
  readonly address: bigint;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Takes it away: whoever still holds its bytes finds none. */
  unmap(): void;
}

/** The C library, for the thread that opened it. */
export class Libc {
  readonly #library = Deno.dlopen("libc.so.6", SYMBOLS);
  readonly #c = this.#library.symbols;
  readonly #errno: Int32Array;
  #holdings: Holdings | undefined;

  constructor() {
    const location = this.#c.__errno_location();
    if (!location) throw new Error("The C library has no errno");
    this.#errno = new Int32Array(Deno.UnsafePointerView.getArrayBuffer(location, 4));
  }

  /** From now on, what this thread holds is written down here. */
  holdIn(holdings: Holdings): void {
    if (!holdings.begin(this.#c.gettid())) throw new Error("This thread is to end");
    this.#holdings = holdings;
  }

  #held(fd: number): number {
    this.#holdings?.add("descriptor", BigInt(fd));
    return fd;
  }

  #error(call: string): SystemError {
    return new SystemError(call, this.#errno[0] ?? 0);
  }

  /** Read and write, closed on exec. */
  open(path: string): number {
    const fd = this.#c.open(new TextEncoder().encode(`${path}\0`), O_RDWR | O_CLOEXEC);
    if (fd < 0) throw this.#error(`Opening ${path}`);
    return this.#held(fd);
  }

  /** Is there such a file? Deno itself asks for every permission before it looks below /sys. */
  exists(path: string): boolean {
    return this.#c.access(new TextEncoder().encode(`${path}\0`), 0) === 0;
  }

  /** The kernel's release, as in `6.1.0-44-amd64`. */
  kernelRelease(): string {
    const { size, release, length } = UTSNAME;
    const bytes = new Uint8Array(size);
    this.#c.uname(bytes);
    const [text = ""] = new TextDecoder().decode(bytes.subarray(release, release + length)).split(
      "\0",
    );
    return text;
  }

  close(fd: number): void {
    this.#holdings?.remove("descriptor", BigInt(fd));
    this.#c.close(fd);
  }

  /** `name` is for the error. */
  ioctl(fd: number, request: number, argument: number | bigint, name: string): number {
    const result = this.#c.ioctl(fd, request, BigInt(argument));
    if (result < 0) throw this.#error(name);
    return result;
  }

  /** The same where the answer is a new file descriptor. */
  ioctlOpening(fd: number, request: number, argument: number, name: string): number {
    return this.#held(this.ioctl(fd, request, argument, name));
  }

  /** `ioctl` with a structure. */
  ioctlWith(fd: number, request: number, structure: Uint8Array<ArrayBuffer>, name: string): number {
    const result = this.#c.ioctl_buffer(fd, request, structure);
    if (result < 0) throw this.#error(name);
    return result;
  }

  /** An ioctl without argument, as bare as can be: 0, or the error number. */
  call(fd: number, request: number): number {
    return this.#c.ioctl(fd, request, 0n) < 0 ? this.#errno[0] ?? 0 : 0;
  }

  /** Of a file from its start, or (without one) fresh zeros. */
  map(size: number, fd?: number): Mapping {
    const flags = fd === undefined ? MAP.SHARED | MAP.ANONYMOUS | MAP.NORESERVE : MAP.SHARED;
    const pointer = this.#c.mmap(0n, BigInt(size), PROT.READ | PROT.WRITE, flags, fd ?? -1, 0n);
    const address = Deno.UnsafePointer.value(pointer);
    if (!pointer || address === MAP_FAILED) throw this.#error(`Mapping ${size} bytes`);
    const buffer = Deno.UnsafePointerView.getArrayBuffer(pointer, size);
    const { munmap } = this.#c;
    const holdings = this.#holdings;
    holdings?.add("mapping", address, BigInt(size));
    return {
      address,
      bytes: new Uint8Array(buffer),
      unmap() {
        // Detached first: what is read there from now on is undefined, and no access to memory that is gone.
        buffer.transfer();
        holdings?.remove("mapping", address);
        munmap(pointer, BigInt(size));
      },
    };
  }

  /** A mapping of which nothing is left but where it is. */
  unmap(address: bigint, size: bigint): void {
    this.#c.munmap(Deno.UnsafePointer.create(address), size);
  }

  pread(fd: number, bytes: Uint8Array<ArrayBuffer>, offset: number): number {
    const read = this.#c.pread(fd, bytes, BigInt(bytes.length), BigInt(offset));
    if (read < 0n) throw this.#error("Reading");
    return Number(read);
  }

  /** A counter that the kernel adds to; reading it does not wait. */
  eventCounter(): number {
    const fd = this.#c.eventfd(0, O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) throw this.#error("eventfd");
    return this.#held(fd);
  }

  /** What such a counter has come to since the last time. */
  takeCount(fd: number): number {
    const count = new BigUint64Array(1);
    const read = this.#c.read(fd, new Uint8Array(count.buffer), BigInt(count.byteLength));
    return read > 0n ? Number(count[0]) : 0;
  }

  /** Adds one to such a counter. */
  addCount(fd: number): void {
    const one = new BigUint64Array([1n]);
    const written = this.#c.write(fd, new Uint8Array(one.buffer), BigInt(one.byteLength));
    if (written < 0n) throw this.#error("Adding to an eventfd");
  }

  /** A set of one signal, as glibc has it. */
  signalSet(signal: number): Uint8Array<ArrayBuffer> {
    const set = new Uint8Array(SIGSET_SIZE);
    set[(signal - 1) >> 3] = 1 << (signal - 1 & 7);
    return set;
  }

  /** Changes this thread's mask; what it was before. */
  changeMask(how: number, set: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    const before = new Uint8Array(SIGSET_SIZE);
    this.#c.pthread_sigmask(how, set, before);
    return before;
  }

  /** Takes a pending signal of the set, if there is one. */
  takeSignal(set: Uint8Array<ArrayBuffer>): boolean {
    return this.#c.sigtimedwait(set, null, new Uint8Array(16)) > 0;
  }

  /** A timer that sends a signal to this thread. */
  createTimer(signal: number): bigint {
    const event = new Uint8Array(SIGEVENT.size);
    const view = new DataView(event.buffer);
    view.setInt32(SIGEVENT.signo, signal, true);
    view.setInt32(SIGEVENT.notify, SIGEV_THREAD_ID, true);
    view.setInt32(SIGEVENT.tid, this.#c.gettid(), true);
    const timer = new BigUint64Array(1);
    if (this.#c.timer_create(CLOCK_MONOTONIC, event, timer) < 0) {
      throw this.#error("Creating a timer");
    }
    const [created = 0n] = timer;
    this.#holdings?.add("timer", created);
    return created;
  }

  /** Sets it off once, so many nanoseconds from now; 0 stops it. */
  setTimer(timer: bigint, nanoseconds: number): void {
    const view = new DataView(new ArrayBuffer(ITIMERSPEC.size));
    view.setBigInt64(ITIMERSPEC.seconds, BigInt(Math.floor(nanoseconds / 1e9)), true);
    view.setBigInt64(ITIMERSPEC.nanoseconds, BigInt(Math.floor(nanoseconds % 1e9)), true);
    this.#c.timer_settime(timer, 0, view, null);
  }

  deleteTimer(timer: bigint): void {
    this.#holdings?.remove("timer", timer);
    this.#c.timer_delete(timer);
  }

  /** Sends a signal to this thread. */
  signalSelf(signal: number): void {
    this.#c.tgkill(Deno.pid, this.#c.gettid(), signal);
  }

  /** This thread's number. */
  thread(): number {
    return this.#c.gettid();
  }

  /** Sends a signal to a thread of this process (0: none); false if there is no such thread. */
  signalThread(thread: number, signal: number): boolean {
    return this.#c.tgkill(Deno.pid, thread, signal) === 0 || this.#errno[0] !== ESRCH;
  }
}

let shared: Libc | undefined;

/** This thread's. */
export function libc(): Libc {
  return shared ??= new Libc();
}
