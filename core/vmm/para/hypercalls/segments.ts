// Segmentation: bases of FS and GS, the guest's part of the GDT.
import { FIRST_RESERVED_GDT_ENTRY, SEGBASE } from "../abi.ts";
import { checkedDescriptor } from "../descriptors.ts";
import { MSR } from "../msrs.ts";
import { ENTRIES, isCanonical } from "../page_tables.ts";
import { FRAME_TYPE } from "../page_types.ts";
import { invalid } from "../refused.ts";
import { type Group, result, u32, u64 } from "./table.ts";

export const segmentHypercalls: Group = (table) => {
  table.register("set_segment_base", 2, (domain, args) => {
    const base = u64(args, 1);
    if (!isCanonical(base)) throw invalid();
    switch (u32(args, 0)) {
      case SEGBASE.FS:
        domain.vcpu.setMsr(MSR.FS_BASE, base);
        return result();
      // Hypercalls come from the kernel, whose GS is the active one.
      case SEGBASE.GS_KERNEL:
        domain.vcpu.setMsr(MSR.GS_BASE, base);
        return result();
      case SEGBASE.GS_USER:
        domain.vcpu.setMsr(MSR.KERNEL_GS_BASE, base);
        return result();
      default:
        throw invalid();
    }
  });
  // A list of machine frames, and how many descriptors.
  table.register("set_gdt", 2, (domain, args) => {
    const entries = u32(args, 1);
    if (entries > FIRST_RESERVED_GDT_ENTRY) throw invalid();
    const count = Math.ceil(entries / ENTRIES);
    const list = domain.pointers.view(u64(args, 0), 8 * count);
    const frames: number[] = [];
    try {
      for (let i = 0; i < count; i++) {
        const frame = Number(list.getBigUint64(8 * i, true));
        domain.types.get(frame, FRAME_TYPE.descriptors);
        frames.push(frame);
      }
    } catch (refused) {
      for (const frame of frames) domain.types.put(frame);
      throw refused;
    }
    domain.setGdt(frames);
    return result();
  });
  // Machine address of a descriptor, and its new value.
  table.register("update_descriptor", 2, (domain, args) => {
    const address = u64(args, 0);
    if (address % 8n !== 0n || address >= BigInt(domain.memory.size)) throw invalid();
    domain.types.writeChecked(Number(address), checkedDescriptor(u64(args, 1)));
    return result();
  });
};
