// What becomes of faults: emulated where that is part of Xen's interface, else handed to the guest's kernel; or the end,
// when the kernel turns out not to have been ported.
import { type Gpa, PAGE_SIZE } from "../../base/address.ts";
import { VECTOR } from "../../base/registers.ts";
import type { Exit } from "../../trace/exit.ts";
import { type Outcome, RESUME, stop } from "../monitor.ts";
import { FORCED_CPUID } from "./abi.ts";
import type { Domain } from "./domain.ts";
import { permitsSoftwareInterrupt } from "./hypercalls/traps.ts";
import { readMsr, writeMsr } from "./msrs.ts";
import { leafEntry, PFEC_PRESENT, PFEC_WRITE, walk } from "./page_tables.ts";
import { FRAME_TYPE } from "./page_types.ts";
import { privilegedInstruction } from "./privileged.ts";
import { Refused } from "./refused.ts";
import { deliverFault, type Fault } from "./trap_delivery.ts";

type ExitOf<K extends Exit["kind"]> = Extract<Exit, { kind: K }>;

/** An exception that Xen does not emulate. */
export function handleException(domain: Domain, exit: ExitOf<"exception">): Outcome {
  const fault = exit.detail;
  if (fault.vector === VECTOR.GP && domain.kernelMode) {
    const { vcpu } = domain;
    const privileged = privilegedInstruction(vcpu.instructionBytes(), vcpu.bitness);
    if (privileged && !isProbe(domain, privileged.mnemonic)) {
      return stop({ kind: "unported", instruction: privileged.mnemonic, rip: exit.rip });
    }
  }
  if (fault.vector === VECTOR.PF && storesToTable(domain, fault)) {
    return emulateTableStore(domain, fault);
  }
  return deliverFault(domain, fault);
}

/** An MSR that isn't there faults on bare hardware too: a guest that handles #GP may be asking just this. */
function isProbe(domain: Domain, mnemonic: string): boolean {
  return (mnemonic === "rdmsr" || mnemonic === "wrmsr") && domain.traps.has(VECTOR.GP);
}

/** INT n, INT3, INTO: to the guest's handler if it may be used so, else a fault, as for a gate without permission. */
export function handleSoftwareInterrupt(
  domain: Domain,
  { detail: { vector } }: ExitOf<"software-interrupt">,
): Outcome {
  if (permitsSoftwareInterrupt(domain, vector)) {
    domain.vcpu.skip();
    return deliverFault(domain, { vector });
  }
  // Error code: index of the gate, bit 1 for the IDT (SDM vol. 3, 6.13).
  return deliverFault(domain, { vector: VECTOR.GP, errorCode: vector << 3 | 2 });
}

/** The forced-emulation prefix and CPUID. */
export function handleForcedCpuid(
  domain: Domain,
  values: readonly [number, number, number, number],
): Outcome {
  const { vcpu } = domain;
  (["rax", "rbx", "rcx", "rdx"] as const).forEach((name, i) =>
    vcpu.set(name, BigInt((values[i] ?? 0) >>> 0))
  );
  vcpu.set("rip", vcpu.get("rip") + BigInt(FORCED_CPUID.length));
  return RESUME;
}

export function handleMsrRead(domain: Domain, exit: ExitOf<"msr-read">): Outcome {
  const value = readMsr(domain.vcpu, exit.detail.msr);
  exit.detail.value = value;
  domain.vcpu.set("rax", value & 0xffff_ffffn);
  domain.vcpu.set("rdx", value >> 32n);
  domain.vcpu.skip();
  return RESUME;
}

export function handleMsrWrite(domain: Domain, { detail }: ExitOf<"msr-write">): Outcome {
  if (!writeMsr(domain.vcpu, detail.msr, detail.value)) {
    return deliverFault(domain, { vector: VECTOR.GP, errorCode: 0 });
  }
  domain.vcpu.skip();
  return RESUME;
}

/** Is it a store of the kernel to a level-1 table, with writable page tables asked for? */
function storesToTable(domain: Domain, { errorCode = 0, address }: Fault): boolean {
  const isWrite = (errorCode & (PFEC_WRITE | PFEC_PRESENT)) === (PFEC_WRITE | PFEC_PRESENT);
  if (!domain.writablePageTables || !domain.kernelMode || !isWrite || address === undefined) {
    return false;
  }
  const leaf = walk(domain.memory, domain.table, address);
  return leaf !== undefined && leafEntry(domain.memory, domain.table, address) !== undefined &&
    domain.types.typeOf(Math.floor(leaf.address / PAGE_SIZE)) === FRAME_TYPE.l1;
}

/** Lets the store happen, takes it back, and does it again as a request that is checked. */
function emulateTableStore(domain: Domain, fault: Fault): Outcome {
  const { vcpu, memory, types } = domain;
  const leaf = walk(memory, domain.table, fault.address ?? 0n);
  if (!leaf) return deliverFault(domain, fault);
  const entry = leaf.address - leaf.address % 8 as Gpa;
  const before = memory.readU64(entry);
  const raised = vcpu.emulateStore(leaf.address - leaf.address % PAGE_SIZE);
  if (raised) return deliverFault(domain, raised);
  const after = memory.readU64(entry);
  memory.writeU64(entry, before);
  try {
    types.update(entry, after);
  } catch (refused) {
    if (!(refused instanceof Refused)) throw refused;
    return stop({
      kind: "crash",
      reason: `Domain crashed: it stores an entry that Xen must refuse (error ${refused.errno})`,
      rip: vcpu.get("rip"),
    });
  }
  return RESUME;
}
