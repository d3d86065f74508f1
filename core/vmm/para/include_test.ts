// fixtures/lib/xen.inc: what scenarios include to speak Xen's interface. Its names must mean what they mean here.
import { assertEquals } from "@std/assert";
import { assemble, sourceOfFile } from "../../guest/asm/assemble.ts";
import * as layout from "../../guest/layout.ts";
import { renderDiagnostic } from "../../base/diagnostic.ts";
import * as abi from "./abi.ts";

const TEXT = Deno.readTextFileSync(new URL("../../../fixtures/lib/xen.inc", import.meta.url));

function symbols(program = ""): Readonly<Record<string, bigint>> {
  const file = { name: "lib/xen.inc", text: `${TEXT}\n${program}` };
  const { assembled, diagnostics } = assemble([sourceOfFile(file)], { bits: 64, origin: 0x100000 });
  assertEquals(diagnostics.map((d) => renderDiagnostic(d)), []);
  return assembled?.symbols ?? {};
}

/** Everything that both sides name, with the include file's prefix. */
const NAMED: Readonly<Record<string, number>> = {
  ...prefixed("hypercall_", abi.HYPERCALL),
  ...prefixed("", abi.ERRNO),
  ...prefixed("SCHEDOP_", abi.SCHEDOP),
  ...prefixed("EVTCHNOP_", abi.EVTCHNOP),
  ...prefixed("VCPUOP_", abi.VCPUOP),
  ...prefixed("MMUEXT_", abi.MMUEXT),
  ...prefixed("UVMF_", abi.UVMF),
  ...prefixed("VIRQ_", abi.VIRQ),
  ...prefixed("XENVER_", abi.XENVER),
  ...prefixed("CONSOLEIO_", abi.CONSOLEIO),
  ...prefixed("start_info_", abi.START_INFO),
  vcpu_info_upcall_pending: abi.VCPU_INFO.evtchn_upcall_pending,
  vcpu_info_upcall_mask: abi.VCPU_INFO.evtchn_upcall_mask,
  vcpu_info_pending_sel: abi.VCPU_INFO.evtchn_pending_sel,
  vcpu_info_cr2: abi.VCPU_INFO.cr2,
  shared_info_evtchn_pending: abi.SHARED_INFO.evtchn_pending,
  shared_info_evtchn_mask: abi.SHARED_INFO.evtchn_mask,
  kernel_cs: abi.FLAT.cs64,
  kernel_ss: abi.FLAT.ss,
  domid_self: abi.DOMID_SELF,
  xen_start_info: layout.XEN_START_INFO,
  xen_shared_info: layout.XEN_SHARED_INFO,
  xen_console_ring: layout.XEN_CONSOLE_RING,
  xen_hypercall_page: layout.XEN_HYPERCALL_PAGE,
  xen_grant_table: layout.XEN_GRANT_TABLE,
  xen_block_ring: layout.XEN_BLOCK_RING,
  xen_console_port: layout.XEN_CONSOLE_PORT,
  xen_block_port: layout.XEN_BLOCK_PORT,
  xen_request: layout.XEN_REQUEST_PAGE,
};

function prefixed(prefix: string, numbers: Readonly<Record<string, number>>) {
  return Object.fromEntries(
    Object.entries(numbers).map(([name, value]) => [prefix + name, value]),
  );
}

Deno.test("every name of xen.inc has the value that the VMM goes by", () => {
  const names = Object.entries(symbols());
  assertEquals(names.length > 80, true);
  for (const [name, value] of names) assertEquals(NAMED[name], Number(value), name);
});

Deno.test("every macro of xen.inc assembles", () => {
  symbols(`
    start:
      hypercall xen_version
      xen_trap 6, 4, handler
      xen_event_callback handler
      xen_bind_virq VIRQ_TIMER
      xen_send 3
      xen_shutdown 0
    handler:
      xen_drop_error
      xen_return`);
});
