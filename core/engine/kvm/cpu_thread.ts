// The thread of a CPU: runs it when it is told to, and says when it has come back. It knows of nothing else.
/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
import { IOCTL } from "./abi.ts";
import { SIGNAL } from "./interrupter.ts";
import { EINTR, libc, SIG_BLOCK } from "./libc.ts";
import { Orders } from "./orders.ts";
import type { Assignment } from "./threads.ts";

self.onmessage = ({ data }: MessageEvent<Assignment>) => {
  serve(new Orders(data.orders), data.place);
  self.close();
};

function serve(orders: Orders, place: number): void {
  const system = libc();
  const signals = system.signalSet(SIGNAL);
  system.changeMask(SIG_BLOCK, signals);
  orders.listen(place, system.thread());
  for (let vcpu = orders.take(place); vcpu !== undefined; vcpu = orders.take(place)) {
    const errno = system.call(vcpu, IOCTL.KVM_RUN);
    if (errno === EINTR) system.takeSignal(signals);
    orders.done(place, errno);
  }
}
