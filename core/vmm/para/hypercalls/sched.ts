// sched_op: giving up the CPU, for a moment, until an event, or for good.
import { IDLE, RESUME, stop } from "../../monitor.ts";
import { ERRNO, EVENT_CHANNELS, SCHEDOP } from "../abi.ts";
import type { Domain } from "../domain.ts";
import { invalid, Refused } from "../refused.ts";
import { type Group, type Reply, result, u32, u64 } from "./table.ts";

/** struct sched_poll: ports (guest handle), nr_ports, timeout (absolute nanoseconds, 0: none). */
const POLL = { ports: 0, nr_ports: 8, timeout: 16, size: 24 } as const;
/** Most ports one poll may name. */
const MAX_POLL_PORTS = 128;

export const schedHypercalls: Group = (table) => {
  table.register("sched_op", 2, (domain, args) => {
    const argument = u64(args, 1);
    switch (u32(args, 0)) {
      case SCHEDOP.yield:
        return result();
      case SCHEDOP.block:
        // Lets events in and waits, in one step: otherwise one could come in between and be slept through.
        domain.events.masked = false;
        return { result: 0n, outcome: domain.events.upcallDue ? RESUME : IDLE };
      case SCHEDOP.shutdown: {
        // The reason is the code of the shutdown. Xen gives names to 0 (poweroff) to 5; what they mean is the toolstack's
        // business, and the toolstack here is the scenario.
        const code = domain.pointers.view(argument, 4).getUint32(0, true) & 0xff;
        return { outcome: stop({ kind: "shutdown", code }) };
      }
      case SCHEDOP.poll:
        return poll(domain, argument);
      default:
        throw new Refused(ERRNO.ENOSYS);
    }
  });
};

/** Waits until one of some ports is pending, masked or not, or an upcall is due, or the time is up. */
function poll(domain: Domain, argument: bigint): Reply {
  const request = domain.pointers.view(argument, POLL.size);
  const count = request.getUint32(POLL.nr_ports, true);
  const timeout = request.getBigUint64(POLL.timeout, true);
  if (count > MAX_POLL_PORTS) throw invalid();
  const list = domain.pointers.view(request.getBigUint64(POLL.ports, true), 4 * count);
  const ports = Array.from({ length: count }, (_, i) => list.getUint32(4 * i, true));
  if (ports.some((port) => port >= EVENT_CHANNELS)) throw invalid();
  domain.startPoll(ports, timeout);
  return { result: 0n, outcome: domain.wakeable() ? RESUME : IDLE };
}
