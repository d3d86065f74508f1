// The back ends there are, by name.
import type { Backend } from "../base/backend.ts";
import { fullBt } from "./full_bt.ts";
import { fullHw, fullHwShadow } from "./full_hw.ts";
import { hybrid } from "./hybrid/hybrid.ts";
import type { BackendDefinition } from "./monitor.ts";
import { native } from "./native.ts";
import { para } from "./para/para.ts";

/** In the order in which tables show them. */
export const BACKEND_DEFINITIONS: ReadonlyMap<Backend, BackendDefinition> = new Map(
  [native, fullBt, fullHw, fullHwShadow, para, hybrid].map((definition) => [
    definition.backend,
    definition,
  ]),
);
