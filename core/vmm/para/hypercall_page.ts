// The hypercall page: one stub of 32 bytes a hypercall, which the guest calls, so that it need not know the gate. For a
// 64-bit PV guest the gate is SYSCALL, which loses RCX and R11; the stubs save them (xen/include/public/arch-x86/xen-x86_64.h).
// An engine may have a cheaper one.
import { PAGE_SIZE } from "../../base/address.ts";
import { HYPERCALL } from "./abi.ts";

/** Bytes between two stubs. */
export const STUB_SIZE = 32;

const PUSH_RCX = [0x51];
const PUSH_R11 = [0x41, 0x53];
const PUSH_RAX = [0x50];
const POP_R11 = [0x41, 0x5b];
const POP_RCX = [0x59];
const SYSCALL = Uint8Array.of(0x0f, 0x05);
const RET = [0xc3];
const INT3 = 0xcc;

function movEax(number: number): number[] {
  return [0xb8, number, 0, 0, 0];
}

/** The page's bytes; `gate` is the instruction that leads to the VMM. */
export function hypercallPage(gate: Uint8Array = SYSCALL): Uint8Array {
  const page = new Uint8Array(PAGE_SIZE).fill(INT3);
  for (let number = 0; number < PAGE_SIZE / STUB_SIZE; number++) {
    // iret is jumped to and does not return: what it saves completes the frame on the guest's stack.
    const stub = number === HYPERCALL.iret
      ? [...PUSH_RCX, ...PUSH_R11, ...PUSH_RAX, ...movEax(number), ...gate]
      : [...PUSH_RCX, ...PUSH_R11, ...movEax(number), ...gate, ...POP_R11, ...POP_RCX, ...RET];
    page.set(stub, number * STUB_SIZE);
  }
  return page;
}
