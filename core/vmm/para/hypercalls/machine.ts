// What the guest may ask about its machine: xen_version, memory_op, grant_table_op, physdev_op.
import { PAGE_SIZE } from "../../../base/address.ts";
import { XEN_GRANT_TABLE } from "../../../guest/layout.ts";
import {
  ERRNO,
  GNTTABOP,
  HYPERVISOR_VIRT_START,
  MACH2PHYS_VIRT_START,
  PHYSDEVOP,
  XEN_VERSION,
  XENFEAT_SUBMAP_0,
  XENMEM,
  XENVER,
} from "../abi.ts";
import type { Domain } from "../domain.ts";
import { invalid, Refused } from "../refused.ts";
import { type Group, type Reply, result, u32, u64 } from "./table.ts";

/** Sizes of the strings that xen_version fills in (version.h). */
const STRING_SIZE = { extraversion: 16, capabilities: 1024, changeset: 64 } as const;
/** struct e820entry (arch-x86/xen.h): addr, size, type, packed; type 1 is RAM. */
const E820 = { addr: 0, size: 8, type: 16, bytes: 20, ram: 1 } as const;
/** struct gnttab_setup_table, gnttab_query_size, gnttab_get_version (grant_table.h). */
const SETUP_TABLE = { nr_frames: 4, status: 8, frame_list: 16, size: 24 } as const;
const GRANT_FRAMES = 1;
const GNTST_general_error = -1;
/** Operations in one grant_table_op. */
const MAX_GRANT_OPS = 64;

export const machineHypercalls: Group = (table) => {
  table.register("xen_version", 2, (domain, args) => version(domain, u32(args, 0), u64(args, 1)));
  table.register("memory_op", 2, (domain, args) => memory(domain, u32(args, 0), u64(args, 1)));
  table.register("grant_table_op", 3, (domain, args) => {
    const count = u32(args, 2);
    if (count > MAX_GRANT_OPS) throw invalid();
    for (let i = 0; i < count; i++) grantTable(domain, u32(args, 0), u64(args, 1), i);
    return result();
  });
  table.register("physdev_op", 2, (_domain, args) => {
    switch (u32(args, 0)) {
      // I/O privilege is virtual; a bitmap would have nothing to permit.
      case PHYSDEVOP.set_iopl:
      case PHYSDEVOP.set_iobitmap:
        return result();
      default:
        throw new Refused(ERRNO.ENOSYS);
    }
  });
};

function version({ pointers }: Domain, command: number, pointer: bigint): Reply {
  const { major, minor, extra } = XEN_VERSION;
  const text = (string: string, size: number): Reply => {
    const bytes = new Uint8Array(size);
    bytes.set(new TextEncoder().encode(string));
    pointers.write(pointer, bytes);
    return result();
  };
  switch (command) {
    case XENVER.version:
      return result(major << 16 | minor);
    case XENVER.extraversion:
      return text(extra, STRING_SIZE.extraversion);
    case XENVER.capabilities:
      return text(`xen-${major}.${minor}-x86_64 `, STRING_SIZE.capabilities);
    case XENVER.changeset:
      return text("none", STRING_SIZE.changeset);
    case XENVER.platform_parameters:
      pointers.writeU64(pointer, HYPERVISOR_VIRT_START);
      return result();
    case XENVER.get_features: {
      const submap = pointers.view(pointer, 8).getUint32(0, true);
      pointers.writeU32(pointer + 4n, submap === 0 ? XENFEAT_SUBMAP_0 : 0);
      return result();
    }
    case XENVER.pagesize:
      return result(PAGE_SIZE);
    case XENVER.guest_handle:
      pointers.write(pointer, new Uint8Array(16));
      return result();
    default:
      throw new Refused(ERRNO.ENOSYS);
  }
}

function memory({ pointers, types, memory }: Domain, command: number, pointer: bigint): Reply {
  switch (command) {
    case XENMEM.maximum_ram_page:
    case XENMEM.current_reservation:
    case XENMEM.maximum_reservation:
      return result(types.frames);
    case XENMEM.memory_map: {
      const request = pointers.view(pointer, 16);
      if (request.getUint32(0, true) < 1) throw invalid();
      const entry = new DataView(new ArrayBuffer(E820.bytes));
      entry.setBigUint64(E820.size, BigInt(memory.size), true);
      entry.setUint32(E820.type, E820.ram, true);
      pointers.write(request.getBigUint64(8, true), new Uint8Array(entry.buffer));
      pointers.writeU32(pointer, 1);
      return result();
    }
    case XENMEM.machphys_mapping:
      pointers.writeU64(pointer, MACH2PHYS_VIRT_START);
      pointers.writeU64(pointer + 8n, MACH2PHYS_VIRT_START + BigInt(8 * types.frames));
      pointers.writeU64(pointer + 16n, BigInt(types.frames - 1));
      return result();
    default:
      throw new Refused(ERRNO.ENOSYS);
  }
}

function grantTable({ pointers }: Domain, command: number, list: bigint, index: number): void {
  switch (command) {
    case GNTTABOP.setup_table: {
      const at = list + BigInt(index * SETUP_TABLE.size);
      const request = pointers.view(at, SETUP_TABLE.size);
      const frames = request.getUint32(SETUP_TABLE.nr_frames, true);
      if (frames === GRANT_FRAMES) {
        const frameList = request.getBigUint64(SETUP_TABLE.frame_list, true);
        pointers.writeU64(frameList, BigInt(XEN_GRANT_TABLE / PAGE_SIZE));
      }
      const status = frames <= GRANT_FRAMES ? 0 : GNTST_general_error;
      pointers.write(
        at + BigInt(SETUP_TABLE.status),
        Uint8Array.of(status & 0xff, status >> 8 & 0xff),
      );
      return;
    }
    case GNTTABOP.query_size: {
      // dom, nr_frames, max_nr_frames, status.
      const at = list + BigInt(16 * index);
      pointers.writeU32(at + 4n, GRANT_FRAMES);
      pointers.writeU32(at + 8n, GRANT_FRAMES);
      pointers.write(at + 12n, new Uint8Array(2));
      return;
    }
    case GNTTABOP.get_version:
      // dom, version.
      pointers.writeU32(list + BigInt(8 * index) + 4n, 1);
      return;
    default:
      throw new Refused(ERRNO.ENOSYS);
  }
}
