// Loads the ledger of deviations of a run.
import { join } from "node:path";
import { renderDiagnostic } from "../base/diagnostic.ts";
import type { Deviation, Ledger } from "../judge/known/deviation.ts";
import { parseLedger } from "../judge/known/read.ts";
import { Complaint } from "./complaint.ts";
import { discover } from "./discover.ts";
import { PROJECT, readText } from "./project.ts";

/** The ledger that ships. */
export const SHIPPED = join(PROJECT, "fixtures", "known");

/** Today's date, in UTC: `2026-11-22`. */
export function today(): string {
  return new Date().toISOString().slice(0, "2026-11-22".length);
}

/** Every `*.yaml` in the folder, or below; complains of all that is wrong with them. */
export function loadLedger(folder: string = SHIPPED, day: string = today()): Ledger {
  const deviations: Deviation[] = [];
  const complaints: string[] = [];
  for (const { path } of discover([folder])) {
    // Entries are named as the user would from the project's folder, wherever that is.
    const name = path.startsWith(PROJECT) ? path.slice(PROJECT.length) : path;
    const file = readText(path, name);
    const parsed = file ? parseLedger(file) : { diagnostics: [] };
    deviations.push(...parsed.deviations ?? []);
    complaints.push(...parsed.diagnostics.map((d) => renderDiagnostic(d)));
  }
  if (complaints.length > 0) throw new Complaint(complaints.join("\n"));
  return { deviations, today: day };
}
