// Direct paging: the guest reads its page tables as the hardware does, and asks for every change: mmu_update,
// update_va_mapping, mmuext_op, vm_assist.
import { type Gpa, PAGE_SIZE } from "../../../base/address.ts";
import {
  DOMID_SELF,
  ERRNO,
  HYPERVISOR_VIRT_END,
  HYPERVISOR_VIRT_START,
  MMU_UPDATE,
  MMUEXT,
  UVMF,
  VMASST,
  VMASST_TYPE_writable_pagetables,
} from "../abi.ts";
import type { Domain } from "../domain.ts";
import { isCanonical, leafEntry } from "../page_tables.ts";
import { FRAME_TYPE, type Level } from "../page_types.ts";
import { invalid, Refused } from "../refused.ts";
import { type Group, type Reply, result, u32, u64 } from "./table.ts";

/** struct mmu_update: ptr (machine address of the entry; the command in its low bits), val. */
const UPDATE = { ptr: 0, val: 8, size: 16 } as const;
/** struct mmuext_op: cmd, arg1 (mfn or linear_addr), arg2 (nr_ents, vcpumask, src_mfn). */
const EXT = { cmd: 0, arg1: 8, arg2: 16, size: 24 } as const;
/** Requests one hypercall may carry: what one object of `GuestPointers` has room for. */
const MAX_REQUESTS = 32768;
const COMMAND_BITS = 7n;
const UVMF_TYPE = 3;

export const mmuHypercalls: Group = (table) => {
  table.register(
    "mmu_update",
    4,
    (domain, args) =>
      batch(domain, args, UPDATE.size, (request) =>
        mmuUpdate(
          domain,
          request.getBigUint64(UPDATE.ptr, true),
          request.getBigUint64(UPDATE.val, true),
        )),
  );
  table.register(
    "mmuext_op",
    4,
    (domain, args) =>
      batch(domain, args, EXT.size, (request) =>
        mmuext(
          domain,
          request.getUint32(EXT.cmd, true),
          request.getBigUint64(EXT.arg1, true),
          request.getBigUint64(EXT.arg2, true),
        )),
  );
  table.register("update_va_mapping", 3, (domain, args) => {
    updateVaMapping(domain, u64(args, 0), u64(args, 1), u32(args, 2));
    return result();
  });
  table.register("vm_assist", 2, (domain, args) => {
    const [command, type] = [u32(args, 0), u32(args, 1)];
    if (type !== VMASST_TYPE_writable_pagetables) throw invalid();
    if (command !== VMASST.enable && command !== VMASST.disable) throw new Refused(ERRNO.ENOSYS);
    domain.writablePageTables = command === VMASST.enable;
    return result();
  });
};

/** A list of requests, done one after the other until one is refused; how many were done goes where the guest says. */
function batch(
  domain: Domain,
  args: readonly bigint[],
  size: number,
  apply: (request: DataView) => void,
): Reply {
  const [list, count, done] = [u64(args, 0), u32(args, 1), u64(args, 2)];
  if (u32(args, 3) !== DOMID_SELF) throw new Refused(ERRNO.EPERM);
  if (count > MAX_REQUESTS) throw invalid();
  let finished = 0;
  try {
    for (; finished < count; finished++) {
      apply(domain.pointers.view(list + BigInt(finished * size), size));
    }
  } finally {
    if (done !== 0n) domain.pointers.writeU32(done, finished);
  }
  return result();
}

function mmuUpdate(domain: Domain, pointer: bigint, value: bigint): void {
  const command = Number(pointer & COMMAND_BITS);
  const address = pointer & ~COMMAND_BITS;
  if (address >= BigInt(domain.memory.size)) throw invalid();
  switch (command) {
    case MMU_UPDATE.NORMAL:
    case MMU_UPDATE.PRESERVE_AD:
      domain.types.update(Number(address), value, command === MMU_UPDATE.PRESERVE_AD);
      return;
    case MMU_UPDATE.MACHPHYS: {
      const frame = Math.floor(Number(address) / PAGE_SIZE);
      if (!domain.types.owned(frame)) throw invalid();
      domain.memory.writeU64(domain.built.m2p + 8 * frame as Gpa, value);
      return;
    }
    default:
      throw new Refused(ERRNO.ENOSYS);
  }
}

function updateVaMapping(domain: Domain, linear: bigint, value: bigint, flags: number): void {
  const inHole = linear >= HYPERVISOR_VIRT_START && linear < HYPERVISOR_VIRT_END;
  if (!isCanonical(linear) || inHole) throw invalid();
  const entry = leafEntry(domain.memory, domain.table, linear);
  if (entry === undefined) throw invalid();
  domain.types.update(entry, value);
  switch (flags & UVMF_TYPE) {
    case UVMF.TLB_FLUSH:
      domain.vcpu.flush();
      return;
    case UVMF.INVLPG:
      domain.vcpu.flush(pageOf(linear));
  }
}

function pageOf(linear: bigint): bigint {
  return linear & ~BigInt(PAGE_SIZE - 1);
}

function mmuext(domain: Domain, command: number, arg1: bigint, arg2: bigint): void {
  const { types, vcpu, memory } = domain;
  const frame = (): number => {
    if (arg1 >= BigInt(types.frames)) throw invalid();
    return Number(arg1);
  };
  switch (command) {
    case MMUEXT.PIN_L1_TABLE:
    case MMUEXT.PIN_L2_TABLE:
    case MMUEXT.PIN_L3_TABLE:
    case MMUEXT.PIN_L4_TABLE:
      types.pin(frame(), command - MMUEXT.PIN_L1_TABLE + 1 as Level);
      return;
    case MMUEXT.UNPIN_TABLE:
      types.unpin(frame());
      return;
    case MMUEXT.NEW_BASEPTR:
      domain.setKernelTable(frame());
      return;
    case MMUEXT.NEW_USER_BASEPTR:
      domain.setUserTable(arg1 === 0n ? undefined : frame());
      return;
    case MMUEXT.TLB_FLUSH_LOCAL:
    case MMUEXT.TLB_FLUSH_MULTI:
    case MMUEXT.TLB_FLUSH_ALL:
      vcpu.flush();
      return;
    case MMUEXT.INVLPG_LOCAL:
    case MMUEXT.INVLPG_MULTI:
    case MMUEXT.INVLPG_ALL:
      vcpu.flush(pageOf(arg1));
      return;
    case MMUEXT.SET_LDT:
      // Only to say that there is none.
      if (arg2 !== 0n) throw invalid();
      return;
    case MMUEXT.CLEAR_PAGE:
      overwrite(domain, frame(), new Uint8Array(PAGE_SIZE));
      return;
    case MMUEXT.COPY_PAGE: {
      if (arg2 >= BigInt(types.frames) || !types.owned(Number(arg2))) throw invalid();
      overwrite(domain, frame(), memory.read(Number(arg2) * PAGE_SIZE as Gpa, PAGE_SIZE));
      return;
    }
    default:
      throw new Refused(ERRNO.ENOSYS);
  }
}

/** Fills a frame that the guest itself could write to. */
function overwrite(domain: Domain, frame: number, bytes: Uint8Array): void {
  domain.types.get(frame, FRAME_TYPE.writable);
  domain.memory.write(frame * PAGE_SIZE as Gpa, bytes);
  domain.types.put(frame);
}
