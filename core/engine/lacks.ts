// What an engine may find out only while a guest runs.

/** The run met something that this subject is known not to have on this machine: the case is skipped, for this reason. */
export class SubjectLacks extends Error {
  /** For whoever catches it. */
  override readonly name = "SubjectLacks";
}

/** The engine can't go on with this guest; the run ends as a crash, with the message as the reason. */
export class EngineFailure extends Error {
  override readonly name = "EngineFailure";
}
