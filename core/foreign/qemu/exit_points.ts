// Where a guest's program ends its run. QEMU's process is gone as soon as the port is written, so the machine is looked into
// just before.
import type { GuestImage } from "../../guest/image.ts";
import { DEBUG_EXIT_PORT } from "../../machine/devices/debug_exit.ts";

/** OUT imm8 with AL, and with AX or EAX (SDM vol. 2, OUT); the latter may have an operand-size prefix. */
const OUT_AL = 0xe6, OUT_EAX = 0xe7, OPERAND_SIZE = 0x66;

/** Linear addresses of the instructions that write to the debug exit port, by what was assembled. */
export function exitPoints(image: GuestImage): bigint[] {
  return image.lines.filter(({ address, length }) => {
    const code = bytesAt(image, address, length);
    const [opcode, port] = code[0] === OPERAND_SIZE ? code.subarray(1) : code;
    return (opcode === OUT_AL || opcode === OUT_EAX) && port === DEBUG_EXIT_PORT;
  }).map(({ address }) => BigInt(address));
}

function bytesAt(image: GuestImage, address: number, length: number): Uint8Array {
  const part = image.placed.find((placed) =>
    address >= placed.address && address < placed.address + placed.bytes.length
  );
  const from = address - (part?.address ?? 0);
  return part?.bytes.subarray(from, from + length) ?? new Uint8Array();
}
