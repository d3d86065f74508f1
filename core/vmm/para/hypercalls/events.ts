// event_channel_op, and where events and system calls are delivered: set_callbacks, callback_op.
import {
  CALLBACKF_mask_events,
  CALLBACKOP,
  CALLBACKTYPE,
  DOM0,
  DOMID_SELF,
  ERRNO,
  EVTCHNOP,
} from "../abi.ts";
import type { Domain } from "../domain.ts";
import { remoteDomain } from "../event_channels.ts";
import { isCanonical } from "../page_tables.ts";
import { invalid, Refused } from "../refused.ts";
import { type Group, result, u32, u64 } from "./table.ts";

/** Offsets in the structures of event_channel.h. */
const BIND_VIRQ = { virq: 0, vcpu: 4, port: 8, size: 12 } as const;
const BIND_IPI = { vcpu: 0, port: 4, size: 8 } as const;
const ALLOC_UNBOUND = { dom: 0, remote_dom: 2, port: 4, size: 8 } as const;
const STATUS = { dom: 0, port: 4, status: 8, vcpu: 12, u: 16, size: 24 } as const;
/** struct callback_register (callback.h). */
const CALLBACK = { type: 0, flags: 2, address: 8, size: 16 } as const;

export const eventHypercalls: Group = (table) => {
  table.register("event_channel_op", 2, (domain, args) => {
    eventChannelOp(domain, u32(args, 0), u64(args, 1));
    return result();
  });
  // Event, failsafe, syscall.
  table.register("set_callbacks", 3, (domain, args) => {
    setCallback(domain, CALLBACKTYPE.event, u64(args, 0), 0);
    setCallback(domain, CALLBACKTYPE.failsafe, u64(args, 1), 0);
    setCallback(domain, CALLBACKTYPE.syscall, u64(args, 2), 0);
    return result();
  });
  table.register("callback_op", 2, (domain, args) => {
    const pointer = u64(args, 1);
    switch (u32(args, 0)) {
      case CALLBACKOP.register: {
        const request = domain.pointers.view(pointer, CALLBACK.size);
        setCallback(
          domain,
          request.getUint16(CALLBACK.type, true),
          request.getBigUint64(CALLBACK.address, true),
          request.getUint16(CALLBACK.flags, true),
        );
        return result();
      }
      // Xen lets only the NMI callback be taken back.
      case CALLBACKOP.unregister:
        throw invalid();
      default:
        throw new Refused(ERRNO.ENOSYS);
    }
  });
};

function setCallback(domain: Domain, type: number, address: bigint, flags: number): void {
  if (!isCanonical(address)) throw invalid();
  const maskEvents = (flags & CALLBACKF_mask_events) !== 0;
  const callback = { address, maskEvents };
  const { callbacks } = domain;
  const set = address !== 0n;
  switch (type) {
    case CALLBACKTYPE.event:
      if (set) callbacks.event = callback;
      else delete callbacks.event;
      return;
    case CALLBACKTYPE.failsafe:
      if (set) callbacks.failsafe = callback;
      else delete callbacks.failsafe;
      return;
    case CALLBACKTYPE.syscall:
      if (set) callbacks.syscall = callback;
      else delete callbacks.syscall;
      return;
    default:
      throw new Refused(ERRNO.ENOSYS);
  }
}

function eventChannelOp(domain: Domain, command: number, pointer: bigint): void {
  const { events, pointers } = domain;
  const portOf = (at: number, size: number) => pointers.view(pointer, size).getUint32(at, true);
  const answer = (at: number, value: number) => pointers.writeU32(pointer + BigInt(at), value);
  switch (command) {
    case EVTCHNOP.bind_virq: {
      const request = pointers.view(pointer, BIND_VIRQ.size);
      checkVcpu(request.getUint32(BIND_VIRQ.vcpu, true));
      const virq = request.getUint32(BIND_VIRQ.virq, true);
      answer(BIND_VIRQ.port, events.bind({ to: "virq", virq }));
      return;
    }
    case EVTCHNOP.bind_ipi:
      checkVcpu(portOf(BIND_IPI.vcpu, BIND_IPI.size));
      answer(BIND_IPI.port, events.bind({ to: "ipi" }));
      return;
    case EVTCHNOP.alloc_unbound: {
      const request = pointers.view(pointer, ALLOC_UNBOUND.size);
      checkSelf(request.getUint16(ALLOC_UNBOUND.dom, true));
      const domainId = request.getUint16(ALLOC_UNBOUND.remote_dom, true);
      answer(ALLOC_UNBOUND.port, events.bind({ to: "unbound", domain: domainId }));
      return;
    }
    case EVTCHNOP.close:
      events.close(portOf(0, 4));
      return;
    case EVTCHNOP.send:
      events.send(portOf(0, 4));
      return;
    case EVTCHNOP.unmask:
      events.unmask(portOf(0, 4));
      return;
    case EVTCHNOP.status: {
      const request = pointers.view(pointer, STATUS.size);
      checkSelf(request.getUint16(STATUS.dom, true));
      const { status, channel } = events.status(request.getUint32(STATUS.port, true));
      answer(STATUS.status, status);
      answer(STATUS.vcpu, 0);
      if (channel?.to === "virq") answer(STATUS.u, channel.virq);
      else if (channel && channel.to !== "ipi") answer(STATUS.u, remoteDomain(channel));
      return;
    }
    case EVTCHNOP.bind_vcpu:
      // struct evtchn_bind_vcpu: port, vcpu. The one virtual CPU there is has it already.
      checkVcpu(pointers.view(pointer, 8).getUint32(4, true));
      return;
    case EVTCHNOP.reset:
      checkSelf(pointers.view(pointer, 2).getUint16(0, true));
      events.closeAll();
      return;
    case EVTCHNOP.bind_interdomain:
      // There is no other domain to bind to.
      throw new Refused(ERRNO.ESRCH);
    case EVTCHNOP.bind_pirq:
      throw new Refused(ERRNO.EPERM);
    default:
      throw new Refused(ERRNO.ENOSYS);
  }
}

function checkVcpu(vcpu: number): void {
  if (vcpu !== 0) throw new Refused(ERRNO.ENOENT);
}

function checkSelf(domainId: number): void {
  if (domainId !== DOMID_SELF && domainId !== DOM0 + 1) throw new Refused(ERRNO.ESRCH);
}
