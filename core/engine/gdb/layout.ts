// Where QEMU's GDB stub has each register of an x86-64 CPU, by its own description.
import type { RemoteProtocol } from "./rsp.ts";

/** Registers of a `g` packet by name: offset and length in bytes, and the number by which `P` sets one alone. */
export type RegisterLayout = ReadonlyMap<
  string,
  { readonly at: number; readonly size: number; readonly number: number }
>;

/** Asks for the layout. `qSupported` with `xmlRegisters=i386` has to come first. */
export async function registerLayout(remote: RemoteProtocol): Promise<RegisterLayout> {
  return readLayout(await description(remote));
}

/** The stub's own description of its registers, in parts. */
async function description(remote: RemoteProtocol): Promise<string> {
  await remote.ask("qXfer:features:read:target.xml:0,ffb");
  let text = "";
  for (;;) {
    const part = await remote.ask(
      `qXfer:features:read:i386-64bit.xml:${text.length.toString(16)},800`,
    );
    text += part.slice(1);
    if (part.startsWith("l")) return text;
  }
}

function readLayout(xml: string): RegisterLayout {
  const layout = new Map<string, { at: number; size: number; number: number }>();
  let at = 0;
  const live = xml.replaceAll(/<!--[^]*?-->/g, "");
  for (const [, name = "", bits = "0"] of live.matchAll(/<reg name="(\w+)" bitsize="(\d+)"/g)) {
    const size = Number(bits) / 8;
    layout.set(name, { at, size, number: layout.size });
    at += size;
  }
  return layout;
}
