// placeholder, being written
export function patternFault(
  _pattern: string,
): { readonly message: string; readonly suggestion: string } | undefined {
  return undefined;
}
