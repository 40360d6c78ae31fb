const SIMPLE: Readonly<Record<string, string>> = {
  n: '\n',
  r: '\r',
  t: '\t',
  "'": "'",
  '"': '"',
  '\\': '\\',
};

/** Replaces the escapes that llama.cpp reads in prompts (`\n`, `\t`, `\x41`, …); others stay as they are. */
export function processEscapes(text: string): string {
  return text.replace(/\\(?:x([0-9a-fA-F]{2})|(.))/gs, (whole, hex: string | undefined, char: string) =>
    hex === undefined ? (SIMPLE[char] ?? whole) : String.fromCharCode(Number.parseInt(hex, 16)),
  );
}
