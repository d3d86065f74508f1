// How control goes from Xen to the guest's kernel (an exception, an event upcall, a system call of a process) and back by
// the iret hypercall. The frame is the one of Xen's create_bounce_frame:
// RCX, R11, [error code], RIP, CS and the saved event mask, RFLAGS, RSP, SS.
import type { Gpa } from "../../base/address.ts";
import { RFLAGS, VECTOR } from "../../base/registers.ts";
import { type Outcome, RESUME, stop } from "../monitor.ts";
import { FLAT, VCPU_INFO, VGCF_in_syscall } from "./abi.ts";
import { segmentOf } from "./descriptors.ts";
import type { Callback, Domain } from "./domain.ts";
import { PFEC_USER } from "./page_tables.ts";
import { Refused } from "./refused.ts";

/** An exception on its way to the guest. */
export interface Fault {
  readonly vector: number;
  readonly errorCode?: number;
  /** Linear address of a page fault. */
  readonly address?: bigint;
  /** It is INT n, INT3 or INTO. */
  readonly software?: boolean;
}

const IF = BigInt(RFLAGS.IF), RESUME_FLAG = BigInt(RFLAGS.RF);
/** Cleared on the way into the kernel. */
const CLEARED = BigInt(RFLAGS.AC | RFLAGS.VM | RFLAGS.RF | RFLAGS.NT | RFLAGS.TF);
/** What iret loads. A guest has no I/O privilege and no virtual-8086 mode, and IF is virtual. */
const LOADED = BigInt(
  RFLAGS.CF | RFLAGS.PF | RFLAGS.AF | RFLAGS.ZF | RFLAGS.SF | RFLAGS.TF | RFLAGS.DF | RFLAGS.OF |
    RFLAGS.NT | RFLAGS.RF | RFLAGS.AC | RFLAGS.ID,
);
const STACK_ALIGNMENT = 16n;
/** Where the event mask is saved in the slot of CS. */
const SAVED_MASK_SHIFT = 32n;
const RPL = 3;

/** The domain can't go on. */
export function crash(domain: Domain, reason: string): Outcome {
  return stop({ kind: "crash", reason: `Domain crashed: ${reason}`, rip: domain.vcpu.get("rip") });
}

/** Delivers an exception through the guest's trap table; RIP is the place to return to. */
export function deliverFault(domain: Domain, fault: Fault): Outcome {
  const handler = domain.traps.get(fault.vector);
  if (!handler) return crash(domain, `no handler for vector ${fault.vector}`);
  let { errorCode } = fault;
  if (fault.vector === VECTOR.PF && errorCode !== undefined) {
    // Kernel and user mode are both CPL 3 to the hardware; the guest is told what it thinks.
    errorCode = domain.kernelMode ? errorCode & ~PFEC_USER : errorCode | PFEC_USER;
    domain.memory.writeU64(domain.vcpuInfo + VCPU_INFO.cr2 as Gpa, fault.address ?? 0n);
  }
  domain.setup.recorder.injection({
    kind: "exception",
    vector: fault.vector,
    ...(errorCode === undefined ? {} : { errorCode }),
    ...(fault.address === undefined ? {} : { address: fault.address }),
  });
  const image = domain.vcpu.get("rflags") | (isFault(fault) ? RESUME_FLAG : 0n);
  return enterKernel(domain, handler, errorCode, image);
}

/** Is the instruction to be done yet? Then its breakpoint has been seen (SDM vol. 3, 18.3.1.1). #DB says so by itself. */
function isFault({ vector, software = false }: Fault): boolean {
  return !software && vector !== VECTOR.DB;
}

/** Calls the guest's event callback. The upcall has no vector; the port it is for is in the shared page. */
export function deliverEvent(domain: Domain): Outcome {
  const { event } = domain.callbacks;
  if (!event) return crash(domain, "an event is pending and there is no event callback");
  domain.setup.recorder.injection({
    kind: "event",
    vector: 0,
    port: domain.events.lowestPending(),
  });
  return enterKernel(domain, { ...event, maskEvents: true });
}

/** Carries a system call of a process to the kernel. RIP is after the SYSCALL. */
export function deliverSyscall(domain: Domain): Outcome {
  const { vcpu } = domain;
  const { syscall } = domain.callbacks;
  if (!syscall) return crash(domain, "a process makes a system call and there is no callback");
  vcpu.set("rcx", vcpu.get("rip"));
  vcpu.set("r11", vcpu.get("rflags"));
  return enterKernel(domain, syscall);
}

/** Calls the guest's kernel; `image` is what the frame says of the flags. */
function enterKernel(
  domain: Domain,
  callback: Callback,
  errorCode?: number,
  image = domain.vcpu.get("rflags"),
): Outcome {
  const { vcpu, events } = domain;
  const rip = vcpu.get("rip");
  const fromKernel = domain.kernelMode;
  const rsp = vcpu.get("rsp");
  const rflags = vcpu.get("rflags");
  const { selector: ss } = vcpu.segment("ss");
  const { selector } = vcpu.segment("cs");
  // A return address in the kernel is told by RPL 0: iret looks at nothing else.
  const cs = fromKernel ? selector & ~RPL : selector | RPL;
  const masked = events.masked;
  if (!fromKernel) domain.toggleMode();

  const top = (fromKernel ? rsp : domain.kernelStack.rsp) & ~(STACK_ALIGNMENT - 1n);
  const frame = [
    vcpu.get("rcx"),
    vcpu.get("r11"),
    ...(errorCode === undefined ? [] : [BigInt(errorCode)]),
    rip,
    BigInt(cs) | (masked ? 1n : 0n) << SAVED_MASK_SHIFT,
    image & ~IF | (masked ? 0n : IF),
    rsp,
    BigInt(ss),
  ];
  const at = BigInt.asUintN(64, top - BigInt(8 * frame.length));
  try {
    domain.pointers.write(at, new Uint8Array(BigUint64Array.from(frame).buffer));
  } catch (refused) {
    if (!(refused instanceof Refused)) throw refused;
    return crash(domain, `its stack at 0x${at.toString(16)} can't take a trap frame`);
  }
  if (callback.maskEvents) events.masked = true;
  vcpu.set("rsp", at);
  vcpu.set("rflags", rflags & ~CLEARED | IF);
  loadFlat(domain);
  vcpu.set("rip", callback.address);
  // Xen leaves by SYSRET, which loses these two: the frame has them.
  vcpu.set("rcx", callback.address);
  vcpu.set("r11", vcpu.get("rflags"));
  return RESUME;
}

function loadFlat(domain: Domain): void {
  for (const [name, selector] of [["cs", FLAT.cs64], ["ss", FLAT.ss]] as const) {
    const segment = segmentOf(domain.memory, [], selector);
    if (segment) domain.vcpu.setSegment(name, segment);
  }
}

/** Words of the frame that iret takes from the stack. */
const IRET = { rax: 0, r11: 1, rcx: 2, flags: 3, rip: 4, cs: 5, rflags: 6, rsp: 7, ss: 8 } as const;
const IRET_WORDS = 9;

/** The iret hypercall: loads what the frame on the guest's stack says. */
export function hypercallIret(domain: Domain): Outcome {
  const { vcpu } = domain;
  let frame: DataView;
  try {
    frame = domain.pointers.view(vcpu.get("rsp"), 8 * IRET_WORDS);
  } catch (refused) {
    if (!(refused instanceof Refused)) throw refused;
    return crash(domain, "iret finds no frame on its stack");
  }
  const word = (index: number): bigint => frame.getBigUint64(8 * index, true);
  const cs = Number(word(IRET.cs) & 0xffffn);
  const toUser = (cs & RPL) === RPL;
  if (toUser && domain.userTable === undefined) {
    return crash(domain, "iret to user mode without user page tables");
  }
  const load = (selector: number) => segmentOf(domain.memory, domain.gdtFrames, selector | RPL);
  const code = load(cs);
  // SS may be null in 64-bit mode; the flat one stands in for it.
  const stack = load(Number(word(IRET.ss) & 0xffffn) || FLAT.ss);
  if (!code || !stack) return crash(domain, `iret to selector 0x${cs.toString(16)}`);
  if (toUser) domain.toggleMode();
  vcpu.set("rax", word(IRET.rax));
  const rflags = word(IRET.rflags);
  if ((word(IRET.flags) & VGCF_in_syscall) === 0n) {
    vcpu.set("r11", word(IRET.r11));
    vcpu.set("rcx", word(IRET.rcx));
  } else {
    vcpu.set("r11", rflags);
    vcpu.set("rcx", word(IRET.rip));
  }
  vcpu.setSegment("cs", code);
  vcpu.setSegment("ss", stack);
  vcpu.set("rip", word(IRET.rip));
  vcpu.set("rsp", word(IRET.rsp));
  vcpu.set("rflags", rflags & LOADED | IF | BigInt(RFLAGS.FIXED));
  domain.events.masked = (rflags & IF) === 0n;
  return RESUME;
}
