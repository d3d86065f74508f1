// The shim: the little that must run at CPL 0 so that a guest can run at CPL 3. Every exception and every SYSCALL leads to a stub
// that rings at a port; that is an exit to the VMM, which reads from the shim's stack what the CPU has pushed, and puts the
// guest's registers back itself. So the shim never returns, saves nothing and decides nothing. Xen's own entry code does the
// rest of the work in ring 0; here that is the monitor's.
import { PAGE_SIZE } from "../../base/address.ts";
import { type Segment, VECTOR } from "../../base/registers.ts";

/** Pages of the shim in the machine's memory, behind the guest's RAM, by what they hold. */
export const PAGE = {
  /** Top-level tables, used in turn: a new CR3 is what makes a CPU forget translations. */
  top: 0,
  otherTop: 1,
  /** The way to the window. */
  level3: 2,
  level2: 3,
  level1: 4,
  descriptors: 5,
  idt: 6,
  tss: 7,
  stack: 8,
  code: 9,
} as const;
/** Bytes of the shim. */
export const SHIM_SIZE = 10 * PAGE_SIZE;

/** The guest sees a GDT of full length, and the VMM leaves its last page free: the shim's descriptors go there. */
export const GDT_LIMIT = 0xffff;
/** Pages from the base of the GDT to each page of the window; nothing but the CPU at CPL 0 gets at them. */
export const WINDOW: readonly (readonly [offset: number, page: number])[] = [
  [15, PAGE.descriptors],
  [16, PAGE.idt],
  [17, PAGE.tss],
  [18, PAGE.stack],
  [19, PAGE.code],
];
const at = (page: number): number => (WINDOW.find(([, p]) => p === page)?.[0] ?? 0) * PAGE_SIZE;

/** From the base of the GDT, in bytes. SYSCALL takes SS from the selector after that of CS (SDM vol. 2, SYSCALL). */
export const SELECTOR = { code: 0xf008, stack: 0xf010, tss: 0xf018 } as const;
/** 64-bit code and data of ring 0, present and accessed (SDM vol. 3, 3.4.5). */
const CODE_DESCRIPTOR = 0x00af_9b00_0000_ffffn, STACK_DESCRIPTOR = 0x00cf_9300_0000_ffffn;
/** Available 64-bit TSS, present. Loading it makes it busy. */
const TSS_TYPE = 0x89n, TSS_BUSY = 0x8b;

/** Vectors of exceptions. */
export const EXCEPTIONS = 32;
const GATES = 256, GATE_SIZE = 16;
/** Present interrupt gate, by its interrupt stack; of DPL 0 or 3. */
const GATE_ATTRIBUTES = 0x8e00n, DPL_3 = 3n << 13n;
/**
 * #DB has an interrupt stack of its own: where MOV SS has put it off, it comes at the shim's first instruction, with the guest's
 * registers on the other one (Everything after POP SS, CVE-2018-8897).
 */
const istOf = (vector: number): bigint => vector === VECTOR.DB ? 2n : 1n;
/**
 * What of INT n is let through: nothing that CPUs raise by themselves, so that one can be told from the other, but for INT3. The rest is
 * #GP, before anything has happened.
 */
const isOpen = (vector: number): boolean => vector >= EXCEPTIONS || vector === VECTOR.BP;
const IDT = { offset: at(PAGE.idt), limit: GATES * GATE_SIZE - 1 } as const;
/** With a bitmap of the ports below 256 behind it (SDM vol. 3, 8.7). */
const TSS = { offset: at(PAGE.tss), rsp0: 4, ist1: 36, ist2: 44, bitmapBase: 102, bitmap: 104 };
const PORTS_IN_BITMAP = 256;
const TSS_SIZE = TSS.bitmap + PORTS_IN_BITMAP / 8 + 1;

/** Where stubs ring. CPL 3 has no right to this port. */
export const DOORBELL_PORT = 0xec;
/** The port of hypercalls, which the bitmap opens to CPL 3 where that is the gate. */
export const HYPERCALL_PORT = 0xed;

/** Stubs after those of the gates: SYSCALL from 64-bit code, and from compatibility mode, where AMD's CPUs have it. */
export const STUB = { syscall: GATES, compatibilitySyscall: GATES + 1 } as const;
const STUBS = GATES + 2;
const STUB_SIZE = 8;
/** OUT imm8, AL; and #UD for an engine that goes on behind it. */
const RING = Uint8Array.of(0xe6, DOORBELL_PORT, 0x0f, 0x0b);

/** The shim where a guest's GDT begins at `base`. Addresses are linear. */
export class Shim {
  readonly #code: bigint;
  readonly #stack: bigint;

  constructor(readonly base: bigint) {
    this.#code = base + BigInt(at(PAGE.code));
    this.#stack = base + BigInt(at(PAGE.stack));
  }

  /** What SYSCALL needs to know; `STAR` holds its code selector in bits 32 to 47. */
  get entries(): { readonly star: bigint; readonly lstar: bigint; readonly cstar: bigint } {
    return {
      star: BigInt(SELECTOR.code) << 32n,
      lstar: this.#stub(STUB.syscall),
      cstar: this.#stub(STUB.compatibilitySyscall),
    };
  }

  get idt(): { readonly base: bigint; readonly limit: number } {
    return { base: this.base + BigInt(IDT.offset), limit: IDT.limit };
  }

  get tr(): Segment {
    const base = this.base + BigInt(TSS.offset);
    return { selector: SELECTOR.tss, base, limit: TSS_SIZE - 1, attributes: TSS_BUSY };
  }

  #stub(index: number): bigint {
    return this.#code + BigInt(index * STUB_SIZE);
  }

  /** Which stub is at this address, or has just been left from it; undefined outside of the shim. */
  stubAt(rip: bigint): number | undefined {
    const offset = rip - this.#code;
    if (offset < 0n || offset >= BigInt(STUBS * STUB_SIZE)) return undefined;
    return Math.floor(Number(offset) / STUB_SIZE);
  }

  /** The pages' bytes, by page. `opensPort`: CPL 3 may write to the port of hypercalls. */
  pages(opensPort: boolean): ReadonlyMap<number, Uint8Array> {
    return new Map([
      [PAGE.descriptors, this.#descriptors()],
      [PAGE.idt, this.#idt()],
      [PAGE.tss, this.#tss(opensPort)],
      [PAGE.stack, new Uint8Array(PAGE_SIZE)],
      [PAGE.code, code()],
    ]);
  }

  #descriptors(): Uint8Array {
    const page = new Uint8Array(PAGE_SIZE);
    const view = new DataView(page.buffer);
    const put = (selector: number, value: bigint) =>
      view.setBigUint64(selector % PAGE_SIZE, value, true);
    put(SELECTOR.code, CODE_DESCRIPTOR);
    put(SELECTOR.stack, STACK_DESCRIPTOR);
    const { base, limit } = this.tr;
    const low = (base & 0xff_ffffn) << 16n | (base >> 24n & 0xffn) << 56n;
    put(SELECTOR.tss, low | TSS_TYPE << 40n | BigInt(limit));
    put(SELECTOR.tss + 8, base >> 32n);
    return page;
  }

  #idt(): Uint8Array {
    const page = new Uint8Array(PAGE_SIZE);
    const view = new DataView(page.buffer);
    for (let vector = 0; vector < GATES; vector++) {
      const target = this.#stub(vector);
      const attributes = GATE_ATTRIBUTES | istOf(vector) | (isOpen(vector) ? DPL_3 : 0n);
      const low = target & 0xffffn | BigInt(SELECTOR.code) << 16n | attributes << 32n |
        (target >> 16n & 0xffffn) << 48n;
      view.setBigUint64(vector * GATE_SIZE, low, true);
      view.setBigUint64(vector * GATE_SIZE + 8, target >> 32n, true);
    }
    return page;
  }

  #tss(opensPort: boolean): Uint8Array {
    const page = new Uint8Array(PAGE_SIZE);
    const view = new DataView(page.buffer);
    for (const [field, vector] of [[TSS.rsp0, 0], [TSS.ist1, 0], [TSS.ist2, VECTOR.DB]] as const) {
      view.setBigUint64(field, this.#stack + BigInt(frameAt(vector) + FRAME.size), true);
    }
    view.setUint16(TSS.bitmapBase, TSS.bitmap, true);
    page.fill(0xff, TSS.bitmap, TSS_SIZE);
    if (opensPort) page[TSS.bitmap + (HYPERCALL_PORT >> 3)] = 0xff ^ 1 << (HYPERCALL_PORT & 7);
    return page;
  }
}

function code(): Uint8Array {
  const page = new Uint8Array(PAGE_SIZE).fill(0xcc);
  for (let stub = 0; stub < STUBS; stub++) page.set(RING, stub * STUB_SIZE);
  return page;
}

/** What the CPU pushes for an exception, from the bottom of the stack upwards (SDM vol. 3, 6.14.2). */
export const FRAME = {
  errorCode: 0,
  rip: 8,
  cs: 16,
  rflags: 24,
  rsp: 32,
  ss: 40,
  size: 48,
} as const;

/** Where in the page of stacks the frame of a vector is. */
export function frameAt(vector: number): number {
  return (vector === VECTOR.DB ? PAGE_SIZE / 2 : PAGE_SIZE) - FRAME.size;
}
