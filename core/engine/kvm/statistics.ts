// KVM's own counters of one CPU, by their names (api.rst, KVM_GET_STATS_FD): a header, descriptions, then values.
import { IOCTL, STRUCT } from "./abi.ts";
import type { Libc } from "./libc.ts";

/** Bits 0 to 3 of a description's flags: what kind of number it is. Only the first two are single figures. */
const TYPE_MASK = 0xf, CUMULATIVE = 0, INSTANT = 1;

export class Statistics {
  readonly #libc: Libc;
  readonly #vcpu: number;

  constructor(libc: Libc, vcpu: number) {
    this.#libc = libc;
    this.#vcpu = vcpu;
  }

  /** All of them that are not zero; none where the kernel has no statistics. */
  read(): Record<string, number> {
    let fd: number;
    try {
      fd = this.#libc.ioctlOpening(this.#vcpu, IOCTL.KVM_GET_STATS_FD, 0, "KVM_GET_STATS_FD");
    } catch {
      return {};
    }
    try {
      return this.#read(fd);
    } finally {
      this.#libc.close(fd);
    }
  }

  #read(fd: number): Record<string, number> {
    const { kvm_stats_header: header, kvm_stats_desc: description } = STRUCT;
    const bytes = (length: number, offset: number) => {
      const view = new DataView(new ArrayBuffer(length));
      this.#libc.pread(fd, new Uint8Array(view.buffer), offset);
      return view;
    };
    const head = bytes(header.size, 0);
    const word = (field: keyof typeof header.fields) => head.getUint32(header.fields[field], true);
    const count = word("num_desc"), nameSize = word("name_size");
    const stride = description.size + nameSize;
    const all = bytes(count * stride, word("desc_offset"));
    const found: Record<string, number> = {};
    const values: { name: string; offset: number }[] = [];
    for (let at = 0; at < count * stride; at += stride) {
      const type = all.getUint32(at + description.fields.flags, true) & TYPE_MASK;
      if (type !== CUMULATIVE && type !== INSTANT) continue;
      const raw = new Uint8Array(all.buffer, at + description.fields.name, nameSize);
      const [name = ""] = new TextDecoder().decode(raw).split("\0");
      values.push({ name, offset: all.getUint32(at + description.fields.offset, true) });
    }
    const size = Math.max(0, ...values.map(({ offset }) => offset + 8));
    const data = bytes(size, word("data_offset"));
    for (const { name, offset } of values) {
      const value = Number(data.getBigUint64(offset, true));
      if (value !== 0) found[name] = value;
    }
    return found;
  }
}
