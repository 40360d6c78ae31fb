/**
 * The byte-level alphabet of GPT-2 vocabularies: every byte is spelled as one printable character. The printable
 * bytes of Latin-1 (0x21–0x7e, 0xa1–0xac, 0xae–0xff) stand for themselves, the others in order for U+0100 and up.
 */
export const BYTE_CHARACTERS: readonly string[] = spellBytes();

const bytesByCode = new Int16Array(0x144).fill(-1);
BYTE_CHARACTERS.forEach((character, byte) => {
  bytesByCode[character.charCodeAt(0)] = byte;
});

function spellBytes(): string[] {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte !== 0xad);
    return String.fromCharCode(printable ? byte : next++);
  });
}

/** The bytes a spelling stands for, or undefined when it has a character outside the alphabet. */
export function spelledBytes(spelling: string): Uint8Array | undefined {
  const bytes = new Uint8Array(spelling.length);
  for (let i = 0; i < spelling.length; i++) {
    const byte = bytesByCode[spelling.charCodeAt(i)] ?? -1;
    if (byte < 0) return undefined;
    bytes[i] = byte;
  }
  return bytes;
}
