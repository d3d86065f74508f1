// The YAML parser's error codes in our words: what is wrong, and how to mend it.
import { lineText, positionOf, type SourceFile } from "../../base/source.ts";
import type { YAMLError } from "yaml";

type ErrorCode = YAMLError["code"];

interface Explanation {
  readonly message: string;
  readonly suggestion: string;
  /** Where it is to be mended, if that is not where the parser noticed. In UTF-16 units. */
  readonly at?: number;
  /** Does the rest of the document still mean what it seems to? If not, later errors are consequences of this one. */
  readonly local?: true;
}

const COLON =
  "Quote text that holds `: ` or ` #`, or that begins with one of [ ] { } , & * ! | > ' \" % @";

const EXPLANATIONS: Readonly<Partial<Record<ErrorCode, Explanation>>> = {
  ALIAS_PROPS: {
    message: "An alias takes no anchor and no tag of its own",
    suggestion: "Remove what stands before the *",
  },
  BAD_ALIAS: {
    message: "This alias or anchor has no usable name",
    suggestion: "Quote text that begins with * or &",
  },
  BAD_COLLECTION_TYPE: {
    message: "This tag does not suit its value",
    suggestion: "Remove the tag: scenarios need none",
    local: true,
  },
  BAD_DIRECTIVE: {
    message: "Unknown directive",
    suggestion: "Remove the line, or quote text that begins with %",
  },
  BAD_DQ_ESCAPE: {
    message: "Unknown escape in a double-quoted text",
    suggestion: "Write \\\\ for a backslash, \\xNN for a byte, \\n for a line end",
    local: true,
  },
  BAD_INDENT: {
    message: "This line is indented differently from the lines it belongs with",
    suggestion: "Begin all keys of a map, and all items of a list, in the same column",
  },
  BAD_PROP_ORDER: {
    message: "An anchor or tag stands in the wrong place",
    suggestion: "Put it after the `-` or the key, before the value",
  },
  BAD_SCALAR_START: {
    message: "Unquoted text can't begin with this character",
    suggestion: COLON,
  },
  BLOCK_AS_IMPLICIT_KEY: {
    message: "A second key can't stand on the line of the first",
    suggestion: COLON,
  },
  BLOCK_IN_FLOW: {
    message: "An indented block can't stand inside { } or [ ]",
    suggestion: "Write the outer map or list without braces",
  },
  DUPLICATE_KEY: {
    message: "This key is there twice",
    suggestion: "Remove one",
    local: true,
  },
  KEY_OVER_1024_CHARS: {
    message: "A key is longer than 1024 characters",
    suggestion: COLON,
  },
  MISSING_CHAR: {
    message: "A colon, comma, quote, space or closing bracket is missing here",
    suggestion: `Write \`key: value\`, and close every quote, { and [. ${COLON}`,
  },
  MULTILINE_IMPLICIT_KEY: {
    message: "A key must stand on one line, with its colon",
    suggestion: "Is a colon missing, or a closing quote?",
  },
  MULTIPLE_ANCHORS: { message: "Two anchors on one value", suggestion: "Remove one", local: true },
  MULTIPLE_DOCS: {
    message: "The file holds several documents",
    suggestion: "Keep one scenario a file: split it at `---`",
  },
  MULTIPLE_TAGS: { message: "Two tags on one value", suggestion: "Remove both", local: true },
  NON_STRING_KEY: {
    message: "Only text can be a key",
    suggestion: "Quote the key",
    local: true,
  },
  RESOURCE_EXHAUSTION: {
    message: "The document is nested too deeply",
    suggestion: "Remove levels of nesting",
  },
  TAB_AS_INDENT: {
    message: "A tab can't indent YAML",
    suggestion: "Indent with spaces",
  },
  TAG_RESOLVE_FAILED: {
    message: "Unknown tag",
    suggestion: "Remove the tag: scenarios need none. Quote text that begins with !",
    local: true,
  },
  UNEXPECTED_TOKEN: {
    message: "This can't stand here",
    suggestion: COLON,
  },
};

const UNKNOWN: Explanation = { message: "This is not valid YAML", suggestion: COLON };

const DEEPER: Explanation = {
  message: "The next line is indented deeper than this key, which has a value already",
  suggestion: "Begin both keys in the same column",
};
const OPEN_QUOTE: Explanation = {
  message: "A quoted text is not closed",
  suggestion: "Look for a missing quote on this line or above",
};
const OPEN_BRACKET: Explanation = {
  message: "A { or [ above is not closed",
  suggestion: "Add the closing bracket",
};

/** What to tell about an error of the YAML parser. The same code can have causes that are mended in different ways. */
export function explain(error: YAMLError, file: SourceFile): Explanation {
  const { line, column } = positionOf(file, error.pos[0]);
  const text = lineText(file, line);
  if (/^[ ]*\t/.test(text)) return explainCode("TAB_AS_INDENT");
  if (/closing ['"]quote/.test(error.message)) return OPEN_QUOTE;
  if (/^Flow/.test(error.message) || /end with a [}\]]/.test(error.message)) {
    const at = openBracket(file.text, error.pos[0]);
    return at === undefined ? OPEN_BRACKET : {
      message: `This ${file.text[at]} is not closed`,
      suggestion: OPEN_BRACKET.suggestion,
      at,
    };
  }
  const sameLine = text.slice(column - 1).includes(": ");
  if (error.code === "BLOCK_AS_IMPLICIT_KEY" && !sameLine) return DEEPER;
  return explainCode(error.code);
}

/** The last bracket before `end` that nothing up to there closes. */
function openBracket(text: string, end: number): number | undefined {
  let closed = 0;
  for (let at = Math.min(end, text.length) - 1; at >= 0; at--) {
    const character = text.charAt(at);
    if (character === "}" || character === "]") closed++;
    else if ((character === "{" || character === "[") && closed-- === 0) return at;
  }
  return undefined;
}

/** What to tell about an error code. */
export function explainCode(code: ErrorCode): Explanation {
  return EXPLANATIONS[code] ?? UNKNOWN;
}
