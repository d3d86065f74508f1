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
import { ENTRY_SIZE, leafEntry, PFEC_PRESENT, PFEC_WRITE, PTE, walk } from "./page_tables.ts";
import { FRAME_TYPE } from "./page_types.ts";
import { privilegedInstruction } from "./privileged.ts";
import { Refused } from "./refused.ts";
import { crash, deliverFault, type Fault } from "./trap_delivery.ts";

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
  const store = fault.vector === VECTOR.PF ? tableStore(domain, fault) : undefined;
  return store ? emulateTableStore(domain, store) : deliverFault(domain, fault);
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
    return deliverFault(domain, { vector, software: true });
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

/** RDMSR of a register that Xen emulates. */
export function handleMsrRead(domain: Domain, exit: ExitOf<"msr-read">): Outcome {
  const value = readMsr(domain.vcpu, exit.detail.msr);
  exit.detail.value = value;
  domain.vcpu.set("rax", value & 0xffff_ffffn);
  domain.vcpu.set("rdx", value >> 32n);
  domain.vcpu.skip();
  return RESUME;
}

/** WRMSR of one; a value that is no address is a fault. */
export function handleMsrWrite(domain: Domain, { detail }: ExitOf<"msr-write">): Outcome {
  if (!writeMsr(domain.vcpu, detail.msr, detail.value)) {
    return deliverFault(domain, { vector: VECTOR.GP, errorCode: 0 });
  }
  domain.vcpu.skip();
  return RESUME;
}

/** A store that goes to a level-1 table, and the entry by which it got there. Guest-physical addresses. */
interface TableStore {
  readonly table: Gpa;
  readonly mappedBy: Gpa;
}

/** Is it a store of the kernel to a level-1 table, with writable page tables asked for? */
function tableStore(
  domain: Domain,
  { errorCode = 0, address }: Fault,
): TableStore | undefined {
  const refusedWrite = PFEC_WRITE | PFEC_PRESENT;
  if (!domain.writablePageTables || !domain.kernelMode || address === undefined) return undefined;
  if ((errorCode & refusedWrite) !== refusedWrite) return undefined;
  const leaf = walk(domain.memory, domain.table, address);
  const mappedBy = leafEntry(domain.memory, domain.table, address);
  if (!leaf || mappedBy === undefined) return undefined;
  const frame = Math.floor(leaf.address / PAGE_SIZE);
  if (domain.types.typeOf(frame) !== FRAME_TYPE.l1) return undefined;
  return { table: frame * PAGE_SIZE as Gpa, mappedBy: mappedBy as Gpa };
}

/** Lets the store happen, for the VMM's eyes only, takes it back, and does it again as requests that are checked. */
function emulateTableStore(domain: Domain, { table, mappedBy }: TableStore): Outcome {
  const { vcpu, memory, types } = domain;
  const entries = () => new BigUint64Array(memory.read(table, PAGE_SIZE).buffer);
  const mapping = memory.readU64(mappedBy);
  memory.writeU64(mappedBy, mapping | PTE.W);
  vcpu.flush();
  const before = entries();
  const raised = vcpu.emulate();
  const after = entries();
  memory.write(table, new Uint8Array(before.buffer));
  memory.writeU64(mappedBy, mapping);
  vcpu.flush();
  if (raised) return deliverFault(domain, raised);
  try {
    after.forEach((entry, slot) => {
      // What the CPU itself marks on its way is no request.
      const changed = (entry ^ (before[slot] ?? 0n)) & ~(PTE.A | PTE.D);
      if (changed !== 0n) types.update(table + slot * ENTRY_SIZE, entry);
    });
  } catch (refused) {
    if (!(refused instanceof Refused)) throw refused;
    return crash(domain, `it stores an entry that Xen must refuse (error ${refused.errno})`);
  }
  return RESUME;
}
