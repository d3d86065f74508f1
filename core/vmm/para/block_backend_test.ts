import { assertEquals } from "@std/assert";
import { type Gpa, PAGE_SIZE } from "../../base/address.ts";
import { XEN_BLOCK_PORT, XEN_BLOCK_RING, XEN_GRANT_TABLE } from "../../guest/layout.ts";
import { BlockBackend } from "./block_backend.ts";
import { SCRATCH, testDomain } from "./testing.ts";

const READ = 0;
const WRITE = 1;
const FLUSH = 3;
/** permit_access, and read-only (GTF_*). */
const GRANT = 1;
const GRANT_READ_ONLY = 5;

/** A frame of Xen's own: of the M2P list, in a domain of this size. */
const XEN_PAGE = (testDomain().domain.built.xenFrames[0] ?? 0) * PAGE_SIZE;

interface Segment {
  readonly page: number;
  readonly first?: number;
  readonly last?: number;
  readonly flags?: number;
  /** Who may use it: dom0 unless said otherwise. */
  readonly to?: number;
}

/** A ring with its back end, and a guest that puts requests on it. */
function ring() {
  const test = testDomain();
  const { memory } = test.vcpu;
  const disk = test.setup.disks[0];
  if (!disk) throw new Error("The test's image has a disk");
  let notified = 0;
  const backend = new BlockBackend(test.domain, disk, () => notified++);
  let produced = 0;
  const u32 = (offset: number, value: number) =>
    memory.writeU32(XEN_BLOCK_RING + offset as Gpa, value);
  const submit = (operation: number, sector: number | bigint, ...segments: Segment[]) => {
    const at = XEN_BLOCK_RING + 64 + produced % 32 * 112;
    memory.write(at as Gpa, Uint8Array.of(operation, segments.length));
    memory.writeU64(at + 8 as Gpa, BigInt(1000 + produced));
    memory.writeU64(at + 16 as Gpa, BigInt(sector));
    segments.forEach(({ page, first = 0, last = 7, flags = GRANT, to = 0 }, i) => {
      const reference = 8 + i;
      memory.writeU64(
        XEN_GRANT_TABLE + 8 * reference as Gpa,
        BigInt(flags) | BigInt(to) << 16n | BigInt(page / PAGE_SIZE) << 32n,
      );
      memory.writeU32(at + 24 + 8 * i as Gpa, reference);
      memory.write(at + 28 + 8 * i as Gpa, Uint8Array.of(first, last));
    });
    u32(0, ++produced);
    u32(12, produced);
    backend.kicked();
    return new DataView(memory.read(at as Gpa, 16).buffer).getInt16(10, true);
  };
  return { ...test, memory, disk, backend, submit, u32, notified: () => notified };
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes).replace(/\n.*/s, "");
}

Deno.test("a read moves sectors into granted pages, answers, and notifies", () => {
  const { submit, memory, notified, recorder } = ring();
  const status = submit(READ, 3, { page: SCRATCH, first: 2, last: 3 }, {
    page: SCRATCH + PAGE_SIZE,
  });
  assertEquals(status, 0);
  assertEquals(text(memory.read(SCRATCH + 1024 as Gpa, 512)), "sector 3");
  assertEquals(text(memory.read(SCRATCH + 1536 as Gpa, 512)), "sector 4");
  assertEquals(text(memory.read(SCRATCH + PAGE_SIZE as Gpa, 512)), "sector 5");
  assertEquals(memory.read(SCRATCH as Gpa, 1024), new Uint8Array(1024));
  // Response: id; producer and event index of the ring.
  assertEquals(memory.readU64(XEN_BLOCK_RING + 64 as Gpa), 1000n);
  assertEquals(memory.readU32(XEN_BLOCK_RING + 8 as Gpa), 1);
  assertEquals(memory.readU32(XEN_BLOCK_RING + 4 as Gpa), 2);
  assertEquals(notified(), 1);
  assertEquals(recorder.counts.accesses, { "queue-notify": 1 });
});

Deno.test("a write moves granted pages, also read-only ones, to the disk", () => {
  const { submit, memory, disk } = ring();
  memory.write(SCRATCH as Gpa, new TextEncoder().encode("new\n"));
  assertEquals(submit(WRITE, 9, { page: SCRATCH, last: 0, flags: GRANT_READ_ONLY }), 0);
  assertEquals(text(disk.readSector(9)), "new");
  assertEquals(submit(FLUSH, 0), 0);
});

Deno.test("the ring goes round", () => {
  const { submit, memory } = ring();
  for (let i = 0; i < 70; i++) assertEquals(submit(READ, i % 64, { page: SCRATCH, last: 0 }), 0);
  assertEquals(memory.readU32(XEN_BLOCK_RING + 8 as Gpa), 70);
});

const ERRORS: readonly [
  what: string,
  operation: number,
  sector: number | bigint,
  Segment[],
  status: number,
][] = [
  ["a sector beyond the disk", READ, 64, [{ page: SCRATCH }], -1],
  ["sectors that begin on the disk and end beyond", READ, 60, [{ page: SCRATCH }], -1],
  ["a sector number of 64 bits", READ, (1n << 64n) - 1n, [{ page: SCRATCH }], -1],
  ["sectors in the wrong order", READ, 0, [{ page: SCRATCH, first: 3, last: 2 }], -1],
  ["a sector beyond the page", READ, 0, [{ page: SCRATCH, last: 8 }], -1],
  ["a page that is not granted", READ, 0, [{ page: SCRATCH, flags: 0 }], -1],
  ["a page granted to somebody else", READ, 0, [{ page: SCRATCH, to: 3 }], -1],
  ["a page granted for reading only", READ, 0, [{ page: SCRATCH, flags: GRANT_READ_ONLY }], -1],
  ["a page that is not the domain's", READ, 0, [{ page: 64 << 20 }], -1],
  ["writing to disk a page that is not the domain's", WRITE, 0, [{ page: 64 << 20 }], -1],
  ["writing to disk a page of Xen's", WRITE, 0, [{ page: XEN_PAGE }], -1],
  ["a page table", READ, 0, [{ page: 0xa0000 }], -1],
  ["more segments than a request has", READ, 0, Array(12).fill({ page: SCRATCH, last: 0 }), -1],
  ["an unknown operation", 5, 0, [], -2],
];

for (const [what, operation, sector, segments, status] of ERRORS) {
  Deno.test(`a request is refused for ${what}, and the next one served`, () => {
    const { submit, vcpu, domain } = ring();
    const before = vcpu.memory.read(0xa0000 as Gpa, PAGE_SIZE);
    assertEquals(submit(operation, sector, ...segments), status);
    assertEquals(vcpu.memory.read(0xa0000 as Gpa, PAGE_SIZE), before);
    assertEquals(submit(READ, 1, { page: SCRATCH }), 0);
    assertEquals(domain.types.uses(SCRATCH / PAGE_SIZE), 1, "mapped by the guest, no more by us");
  });
}

Deno.test("a write to a read-only disk is refused", () => {
  const test = testDomain();
  const disk = {
    sectors: 1,
    readOnly: true,
    readSector: () => new Uint8Array(512),
    writeSector: () => {},
  };
  const backend = new BlockBackend(test.domain, disk, () => {});
  test.vcpu.memory.write(XEN_BLOCK_RING + 64 as Gpa, Uint8Array.of(WRITE, 0));
  test.vcpu.memory.writeU32(XEN_BLOCK_RING as Gpa, 1);
  backend.kicked();
  assertEquals(test.vcpu.memory.readU16(XEN_BLOCK_RING + 64 + 10 as Gpa), 0xffff);
});

Deno.test("more requests than the ring holds break it for good, and for a reason", () => {
  const { u32, backend, recorder, memory } = ring();
  u32(0, 33);
  backend.kicked();
  assertEquals(recorder.counts.accesses, { "queue-notify": 1, "device-needs-reset": 1 });
  u32(0, 1);
  backend.kicked();
  assertEquals(memory.readU32(XEN_BLOCK_RING + 8 as Gpa), 0);
});

Deno.test("answers nobody waits for are not announced", () => {
  const { u32, backend, notified, submit } = ring();
  submit(READ, 0, { page: SCRATCH });
  u32(0, 2);
  u32(12, 5);
  backend.kicked();
  assertEquals(notified(), 1);
});

Deno.test("the port of the ring is the one that the layout names", () => {
  const { domain, call, put } = ring();
  domain.events.bind({ to: "backend", notify: () => {} }, XEN_BLOCK_PORT);
  assertEquals(call("event_channel_op", 4, put(SCRATCH, XEN_BLOCK_PORT)), 0n);
});
