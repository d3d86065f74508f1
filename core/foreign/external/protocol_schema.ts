// `deno task vmm:schema`: the JSON Schema of the protocol's messages, from the zod in `protocol.ts`.
import { z } from "zod";
import { PROTOCOL, Request, Response } from "./protocol.ts";

/** A line is one of these. */
export const SCHEMA_FILE = new URL("./protocol.schema.json", import.meta.url);

/** As text: `Request` and `Response` are among its definitions. */
export function protocolSchema(): string {
  const schema = z.toJSONSchema(
    z.union([Request, Response]).meta({ title: `A line of ${PROTOCOL}, either way` }),
    { io: "input", unrepresentable: "any" },
  );
  return JSON.stringify(schema, null, 2) + "\n";
}

if (import.meta.main) Deno.writeTextFileSync(SCHEMA_FILE, protocolSchema());
