import { assert, assertEquals, assertMatch } from "@std/assert";
import { bootState } from "../../guest/boot.ts";
import { ENTRIES } from "../../scenario/case.ts";
import { canary } from "../canary.ts";
import { EXIT_KINDS } from "./events.ts";
import { loading } from "./load.ts";
import { MAX_REQUEST, PIECE, Request, Response } from "./protocol.ts";
import { protocolSchema, SCHEMA_FILE } from "./protocol_schema.ts";
import { readMessage } from "./read_message.ts";

const PAGE = await Deno.readTextFile(new URL("./PROTOCOL.md", import.meta.url));

Deno.test("protocol.schema.json is what the code says (else: deno task vmm:schema)", async () => {
  assertEquals(await Deno.readTextFile(SCHEMA_FILE), protocolSchema());
});

Deno.test("PROTOCOL.md shows every message, each of them valid", () => {
  const shown = PAGE.split("\n").flatMap((line) => /^ {4}([<>] )?(\{.*\})$/.exec(line)?.[2] ?? [])
    .filter((line) => !line.includes("..."));
  const types = new Set<string>();
  for (const line of shown) {
    const value = JSON.parse(line);
    const valid = Request.safeParse(value).success || Response.safeParse(value).success;
    assert(valid, line);
    types.add(value.type);
  }
  const all = [...Request.options, ...Response.options].flatMap((
    option,
  ) => [...option.shape.type.values]);
  assertEquals([...types].toSorted(), [...new Set(all)].toSorted());
});

Deno.test("PROTOCOL.md lists every kind of exit and every capability", () => {
  for (const kind of EXIT_KINDS) assertMatch(PAGE, new RegExp(`^\\|.*\`${kind}\`.*\\|`, "m"));
  const [hello] = Response.options;
  for (const name of Object.keys(hello.shape.capabilities.shape)) {
    assertMatch(PAGE, new RegExp(`^\\| \`${name}\` +\\|`, "m"));
  }
});

Deno.test("loading() says all that a guest starts with, in valid requests of bounded length", () => {
  for (const entry of ENTRIES) {
    const { image, group: { limits } } = canary(entry);
    const big = { address: 0x10_0000, bytes: new Uint8Array(2 * PIECE + 5).fill(7) };
    const whole = { ...image, placed: [big] };
    const requests = [...loading(whole, limits, false)];
    for (const request of requests) {
      assertEquals(Request.parse(request), request);
      assert(JSON.stringify(request).length < MAX_REQUEST);
    }
    assertEquals(requests.at(0)?.type, "load");
    assertEquals(requests.at(-1)?.type, "run");
    const memory = new Uint8Array(image.memory), expected = new Uint8Array(image.memory);
    for (const request of requests) {
      if (request.type === "write") {
        memory.set(Uint8Array.fromBase64(request.bytes), request.address);
      }
    }
    for (const { address, bytes } of bootState(whole).placed) expected.set(bytes, address);
    assertEquals(memory, expected);
  }
});

Deno.test("loading() sends the parts of disks that are not zero, unless the disks stay here", () => {
  const { image, group: { limits } } = canary("real16");
  const bytes = new Uint8Array(2 * 512);
  bytes[512] = 1;
  const disks = [{ sectors: 5, readOnly: true, bytes }];
  const written = (forwarded: boolean) =>
    [...loading({ ...image, disks }, limits, forwarded)].flatMap((request) =>
      request.type === "write" && request.disk !== undefined ? [request] : []
    );
  assertEquals(written(false).map(({ disk, address }) => ({ disk, address })), [{
    disk: 0,
    address: 512,
  }]);
  assertEquals(written(true), []);
});

Deno.test("readMessage() names what is wrong, and where", () => {
  const event = (body: string) => `{"type":"events","events":[{"console":""},${body}]}`;
  const cases: [string, string][] = [
    ["", "expected one JSON object, but it is empty"],
    ["\x1b[31mred", "expected one JSON object, but it is ␛[31mred"],
    ["[]", "expected an object, but it is []"],
    ['{"type":"end","end":{"kind":"shutdown"}}', "end.code: expected a number, but it is missing"],
    [
      '{"type":"end","end":{"kind":"done"}}',
      'end.kind: expected one of "shutdown", "halt", "triple-fault", "unported", "limit", "crash", "stopped", but it is "done"',
    ],
    [
      '{"type":"end","end":{"kind":"halt"},"registers":{"eax":"0x1"}}',
      "registers: there is no eax here",
    ],
    [
      event('{"exit":{"kind":"iox","rip":"0x1"}}'),
      'events[1].exit.kind: expected a name that PROTOCOL.md lists, but it is "iox"',
    ],
    [
      event('{"exit":{"kind":"io","rip":"0x1","detail":{"port":"1","direction":"in","size":1}}}'),
      'events[1].exit.detail.port: expected a number, but it is "1"',
    ],
    [
      event('{"exit":{"kind":"hlt","rip":4096}}'),
      "events[1].exit.rip: expected a string, but it is 4096",
    ],
    [
      event('{"console":"no base64!"}'),
      'events[1].console: expected bytes in base64, but it is "no base64!"',
    ],
    [
      event('{"injection":{"kind":"nmi","vector":256}}'),
      "events[1].injection.vector: expected at most 255, but it is 256",
    ],
  ];
  for (const [line, wrong] of cases) assertEquals(readMessage(line), { wrong });
});
