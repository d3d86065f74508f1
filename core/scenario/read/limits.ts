// Reads `limits`: what ends a run that does not end by itself.
import { DEFAULT_LIMITS, FILE_LIMITS, type Limits } from "../case.ts";
import type { Findings } from "../findings.ts";
import { integerOf, type Node, valueOf } from "../yaml/node.ts";
import { clamp, readDuration } from "./values.ts";

const NS_PER_MS = 1e6;

/** The limits of a scenario; those that it does not state are the default ones for a program, or for a file. */
export function readLimits(node: Node | undefined, isFile: boolean, findings: Findings): Limits {
  const defaults = isFile ? FILE_LIMITS : DEFAULT_LIMITS;
  const positive = (key: string, value: number | undefined, fallback: number): number => {
    const stated = valueOf(node, key);
    if (!stated || value === undefined) return fallback;
    if (value >= 1) return value;
    findings.error(stated.span, `The limit "${key}" must be positive`);
    return fallback;
  };
  const count = (key: string): number | undefined => {
    const value = integerOf(valueOf(node, key));
    return value === undefined ? undefined : clamp(value);
  };
  const wall = readDuration(valueOf(node, "wall"));
  return {
    instructions: positive("instructions", count("instructions"), defaults.instructions),
    exits: positive("exits", count("exits"), defaults.exits),
    time: positive("time", readDuration(valueOf(node, "time")), defaults.time),
    wallMs: positive(
      "wall",
      wall === undefined ? undefined : Math.floor(wall / NS_PER_MS),
      defaults.wallMs,
    ),
  };
}
