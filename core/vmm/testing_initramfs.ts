// A Linux kernel's first file system, in the format that cpio calls "newc" (Linux: Documentation/driver-api/early-userspace).

/** One file: a regular one, or a device node. */
export interface InitramfsFile {
  readonly name: string;
  /** Type and permissions, as stat has them. */
  readonly mode: number;
  readonly bytes?: Uint8Array;
  /** Major and minor number of a device. */
  readonly device?: readonly [number, number];
}

const MAGIC = "070701";
const TRAILER = "TRAILER!!!";
export const EXECUTABLE = 0o100755, DIRECTORY = 0o40755, CHARACTER_DEVICE = 0o20600;

/** The archive; directories come before what is in them. */
export function initramfs(files: readonly InitramfsFile[]): Uint8Array {
  const chunks: Uint8Array[] = [];
  const add = (bytes: Uint8Array) => {
    chunks.push(bytes, new Uint8Array(-bytes.length & 3));
  };
  for (const [i, file] of [...files, { name: TRAILER, mode: 0 }].entries()) {
    const { name, mode, bytes = new Uint8Array(), device = [0, 0] }: InitramfsFile = file;
    const [owner, group, links, time, check] = [0, 0, 1, 0, 0];
    const fields = [i, mode, owner, group, links, time, bytes.length, 0, 0, ...device];
    const header = [...fields, name.length + 1, check].map((value) =>
      value.toString(16).padStart(8, "0")
    );
    add(new TextEncoder().encode(`${MAGIC}${header.join("")}${name}\0`));
    add(bytes);
  }
  const whole = new Uint8Array(chunks.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}
