// An empty qcow2 image, in which QEMU keeps the state of a machine (docs/interop/qcow2.txt of QEMU, version 2 of the format).

const MAGIC = 0x514649fb, VERSION = 2;
const CLUSTER_BITS = 16, CLUSTER = 1 << CLUSTER_BITS;
/** Where the header has its fields. */
const AT = {
  version: 4,
  clusterBits: 20,
  size: 24,
  l1Entries: 36,
  l1Offset: 40,
  refcountOffset: 48,
  refcountClusters: 56,
} as const;
/** Header, table of reference counts, their one block, table of level 1. */
const CLUSTERS = 4;
const REFCOUNTS = CLUSTER, REFCOUNT_BLOCK = 2 * CLUSTER, LEVEL1 = 3 * CLUSTER;
/** Of the disk, on which nobody writes. */
const DISK_BYTES = 1n << 20n;

/** The file's contents. */
export function emptySnapshotFile(): Uint8Array {
  const bytes = new Uint8Array(CLUSTERS * CLUSTER);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC);
  view.setUint32(AT.version, VERSION);
  view.setUint32(AT.clusterBits, CLUSTER_BITS);
  view.setBigUint64(AT.size, DISK_BYTES);
  view.setUint32(AT.l1Entries, 1);
  view.setBigUint64(AT.l1Offset, BigInt(LEVEL1));
  view.setBigUint64(AT.refcountOffset, BigInt(REFCOUNTS));
  view.setUint32(AT.refcountClusters, 1);
  view.setBigUint64(REFCOUNTS, BigInt(REFCOUNT_BLOCK));
  for (let cluster = 0; cluster < CLUSTERS; cluster++) {
    view.setUint16(REFCOUNT_BLOCK + 2 * cluster, 1);
  }
  return bytes;
}
