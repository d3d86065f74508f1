// Timers, and what else a virtual CPU can be asked for: set_timer_op, vcpu_op.
import { type Gpa, PAGE_SIZE } from "../../../base/address.ts";
import { ERRNO, VCPU_INFO, VCPU_SSHOTTMR_future, VCPUOP } from "../abi.ts";
import type { Domain } from "../domain.ts";
import { FRAME_TYPE } from "../page_types.ts";
import { invalid, Refused } from "../refused.ts";
import { MIN_PERIOD } from "../timers.ts";
import { type Group, type Reply, result, u32, u64 } from "./table.ts";

/** struct vcpu_runstate_info: state, state_entry_time, time[4]; state 0 is running (vcpu.h). */
const RUNSTATE = { state: 0, state_entry_time: 8, time: 16, size: 48 } as const;
/** -ETIME */
const ETIME = 62;
/** Longest period Xen grants: STIME_DELTA_MAX is about 36 days. */
const MAX_PERIOD = 2n ** 52n;

export const timeHypercalls: Group = (table) => {
  // An absolute deadline; 0 stops the timer.
  table.register("set_timer_op", 1, (domain, args) => {
    const deadline = u64(args, 0);
    if (deadline === 0n) domain.timers.stopSingleShot();
    else domain.timers.setSingleShot(deadline);
    return result();
  });
  table.register("vcpu_op", 3, (domain, args) => {
    if (u32(args, 1) !== 0) throw new Refused(ERRNO.ENOENT);
    return vcpuOp(domain, u32(args, 0), u64(args, 2));
  });
};

function vcpuOp(domain: Domain, command: number, pointer: bigint): Reply {
  const { pointers, timers } = domain;
  switch (command) {
    case VCPUOP.is_up:
      return result(1);
    case VCPUOP.set_periodic_timer: {
      const period = pointers.readU64(pointer);
      if (period < BigInt(MIN_PERIOD) || period > MAX_PERIOD) throw invalid();
      timers.startPeriodic(Number(period));
      return result();
    }
    case VCPUOP.stop_periodic_timer:
      timers.stopPeriodic();
      return result();
    case VCPUOP.set_singleshot_timer: {
      const request = pointers.view(pointer, 16);
      const deadline = request.getBigUint64(0, true);
      const future = (request.getUint32(8, true) & VCPU_SSHOTTMR_future) !== 0;
      if (future && deadline < BigInt(timers.now)) throw new Refused(ETIME);
      timers.setSingleShot(deadline);
      return result();
    }
    case VCPUOP.stop_singleshot_timer:
      timers.stopSingleShot();
      return result();
    case VCPUOP.register_vcpu_info: {
      const request = pointers.view(pointer, 16);
      registerVcpuInfo(domain, request.getBigUint64(0, true), request.getUint32(8, true));
      return result();
    }
    case VCPUOP.get_runstate_info:
      pointers.write(pointer, runstate(timers.now));
      return result();
    case VCPUOP.register_runstate_memory_area:
      // One virtual CPU that nobody competes with is always running: what is written now stays true but for its times.
      pointers.write(pointers.readU64(pointer), runstate(timers.now));
      return result();
    default:
      throw new Refused(ERRNO.ENOSYS);
  }
}

function runstate(now: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(RUNSTATE.size));
  view.setBigUint64(RUNSTATE.time, BigInt(now), true);
  return new Uint8Array(view.buffer);
}

/** Moves vcpu_info out of shared_info. Once only. */
function registerVcpuInfo(domain: Domain, frame: bigint, offset: number): void {
  if (domain.vcpuInfoMoved || offset > PAGE_SIZE - VCPU_INFO.size || frame > 2n ** 40n) {
    throw invalid();
  }
  domain.types.get(Number(frame), FRAME_TYPE.writable);
  const to = Number(frame) * PAGE_SIZE + offset;
  domain.memory.write(to as Gpa, domain.memory.read(domain.vcpuInfo as Gpa, VCPU_INFO.size));
  domain.vcpuInfo = to;
  domain.vcpuInfoMoved = true;
  domain.events.selectAll();
}
