// How a device takes its saved state back: checked against the shape of the state it has, so that a file from another
// version, or a damaged one, is refused by name instead of half applied.

/**
 * A deep copy of `state`, which must have the fields of `like` with values of the same types, and no others; arrays
 * must have the same length, numbers must be integers. Throws `TypeError` with the path of the first difference.
 */
export function restored<T extends object>(like: T, state: unknown, where = "state"): T {
  checkShape(like, state, where);
  // The check above is what makes this claim true.
  return structuredClone(state) as T;
}

function checkShape(like: unknown, value: unknown, where: string): void {
  if (Array.isArray(like)) {
    if (!Array.isArray(value) || value.length !== like.length) {
      throw new TypeError(`Saved ${where} must be a list of ${like.length}`);
    }
    like.forEach((item, index) => checkShape(item, value[index], `${where}[${index}]`));
  } else if (isRecord(like)) {
    if (!isRecord(value)) throw new TypeError(`Saved ${where} must be an object`);
    for (const name of Object.keys(value)) {
      if (!Object.hasOwn(like, name)) throw new TypeError(`Saved ${where} has an unknown ${name}`);
    }
    for (const [name, item] of Object.entries(like)) {
      if (!Object.hasOwn(value, name)) throw new TypeError(`Saved ${where} lacks ${name}`);
      checkShape(item, value[name], `${where}.${name}`);
    }
  } else if (
    typeof value !== typeof like || typeof value === "number" && !Number.isSafeInteger(value)
  ) {
    throw new TypeError(`Saved ${where} must be a ${typeof like}`);
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
