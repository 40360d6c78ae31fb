/**
 * Cuts bytes into maximal runs that are valid UTF-8 (no surrogates, no overlong forms, nothing past U+10FFFF) and
 * runs that are not, in order.
 */
export function forEachUtf8Run(
  bytes: Uint8Array,
  run: (start: number, end: number, valid: boolean) => void,
): void {
  let start = 0;
  let valid = true;
  for (let at = 0; at < bytes.length; ) {
    const length = characterLength(bytes, at);
    if (length > 0 !== valid) {
      if (at > start) run(start, at, valid);
      start = at;
      valid = !valid;
    }
    at += Math.max(length, 1);
  }
  if (bytes.length > start) run(start, bytes.length, valid);
}

/** Bytes of the UTF-8 character at `at`, 0 when there is none (the table of well-formed sequences in RFC 3629). */
function characterLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at]!;
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4) return 0;
  const length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  let low = 0x80;
  let high = 0xbf;
  if (first === 0xe0) low = 0xa0;
  else if (first === 0xed) high = 0x9f;
  else if (first === 0xf0) low = 0x90;
  else if (first === 0xf4) high = 0x8f;
  for (let i = 1; i < length; i++) {
    const byte = bytes[at + i] ?? 0;
    if (byte < low || byte > high) return 0;
    low = 0x80;
    high = 0xbf;
  }
  return length;
}
