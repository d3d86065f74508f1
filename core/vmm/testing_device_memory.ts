// Device memory for programs of several CPUs: the test device of a whole PC, where every access is one of a device.
import type { GuestImage } from "../guest/image.ts";

/** Memory of the test device: every access is one of a device. */
export const DEVICE = 0xff000000;

/** A program as the guest of a whole PC: it has the test device. */
export const onWholePc = (image: GuestImage): GuestImage => ({ ...image, format: "flat" });

/** Maps the 2 MiB of the test device where they are: the last entries of the loader's tables are free. */
export const MAP_DEVICE = `
        mov   rax, cr3
        mov   rax, [rax]
        and   eax, ~0xfff
        mov   rax, [rax + 3 * 8]
        and   eax, ~0xfff
        mov   rdx, ${DEVICE} + 0x9b
        mov   [rax + ${(DEVICE >>> 21) & 511} * 8], rdx`;
