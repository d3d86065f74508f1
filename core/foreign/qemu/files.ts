// What QEMU loads a guest from, and what it leaves behind: files in a folder of the run's own.
import { bootState } from "../../guest/boot.ts";
import { GDT_BASE, ROM_LOW_BYTES, ROM_LOW_END, SELECTOR } from "../../guest/layout.ts";
import type { GuestImage } from "../../guest/image.ts";
import { MemoryDisk } from "../../machine/memory_disk.ts";
import { SubjectLacks } from "../../engine/lacks.ts";
import { entryRom } from "./entry_rom.ts";
import { diskFile, FILES } from "./machine.ts";

/** QEMU takes ROMs in multiples of this. */
const ROM_UNIT = 0x1_0000;
/** From here to 1 MiB QEMU's PCs have ROMs where our board has RAM; the upper half is our own. */
const OPTION_ROMS = 0xc_0000, OWN_ROM = ROM_LOW_END - ROM_LOW_BYTES;
const IN_THE_WAY = "QEMU's machines have ROMs where this guest has a part of itself";
/** Byte and bit of a TSS descriptor that say that it is in use (SDM vol. 3, figure 8-3). */
const TYPE_BYTE = 5, BUSY = 2;

/** Writes ROM, RAM and disks. Throws {@linkcode SubjectLacks} for an image that does not fit QEMU's machines. */
export async function writeFiles(folder: string, image: GuestImage): Promise<void> {
  await Deno.writeFile(`${folder}/${FILES.rom}`, romOf(image));
  await writeRam(`${folder}/${FILES.ram}`, image, "new");
  for (const [index, spec] of image.disks.slice(0, 2).entries()) {
    await Deno.writeFile(`${folder}/${diskFile(index)}`, new MemoryDisk(spec).contents());
  }
}

/** What the machine's ROM holds for an image. Throws {@linkcode SubjectLacks}. */
export function romOf(image: GuestImage): Uint8Array {
  if (image.format !== "rom" || !image.rom) {
    const rom = entryRom(image.entry, bootState(image));
    if (!rom) throw new SubjectLacks(IN_THE_WAY);
    return rom;
  }
  const { rom } = image;
  const padded = new Uint8Array(Math.ceil(rom.length / ROM_UNIT) * ROM_UNIT);
  padded.set(rom, padded.length - rom.length);
  return padded;
}

/**
 * Writes RAM: a new file, or `mapped` by a QEMU that stands still, which would not see another one; throws where somebody has
 * removed that.
 */
export async function writeRam(
  path: string,
  image: GuestImage,
  file: "new" | "mapped",
): Promise<void> {
  if (image.memory < ROM_LOW_END && image.entry === "long64") {
    throw new SubjectLacks("QEMU's entry ROM is below 1 MiB, where this guest's page tables end");
  }
  using ram = await Deno.open(path, { create: file === "new", truncate: true, write: true });
  await ram.truncate(image.memory);
  for (const { address, bytes } of bootState(image).placed) {
    const end = address + bytes.length;
    if (address < OWN_ROM && end > OPTION_ROMS) throw new SubjectLacks(IN_THE_WAY);
    if (end > image.memory) continue;
    await write(ram, address, address === GDT_BASE ? idleTask(bytes) : bytes);
  }
}

/** The GDT with its TSS not in use: the entry ROM loads it, which marks it. */
function idleTask(gdt: Uint8Array): Uint8Array {
  const copy = gdt.slice();
  const at = SELECTOR.tss + TYPE_BYTE;
  copy[at] = (copy[at] ?? 0) & ~BUSY;
  return copy;
}

async function write(file: Deno.FsFile, address: number, bytes: Uint8Array): Promise<void> {
  await file.seek(address, Deno.SeekMode.Start);
  for (let rest = bytes; rest.length > 0;) rest = rest.subarray(await file.write(rest));
}

/** Replaces a part of a file. */
export async function writeAt(path: string, at: number, bytes: Uint8Array): Promise<void> {
  using file = await Deno.open(path, { write: true });
  await write(file, at, bytes);
}

/** What a file holds from `at` on, `length` bytes or as many as there are. */
export async function readAt(path: string, at: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  using file = await Deno.open(path);
  await file.seek(at, Deno.SeekMode.Start);
  let done = 0;
  while (done < length) {
    const count = await file.read(bytes.subarray(done));
    if (count === null) break;
    done += count;
  }
  return bytes.subarray(0, done);
}
