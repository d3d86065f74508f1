// Looking up in records whose keys somebody else chose.

/**
 * What a record has under a key of its own. A label may be called `constructor`, and plain indexing would find what all
 * objects inherit.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(own({ a: 1 }, "a"), 1);
 * assertEquals(own({ a: 1 }, "constructor"), undefined);
 * ```
 */
export function own<T>(record: Readonly<Record<string, T>>, key: string): T | undefined {
  return Object.hasOwn(record, key) ? record[key] : undefined;
}
