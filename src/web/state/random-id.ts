/** An id of 96 random bits. `crypto.randomUUID` exists only on https and localhost, and the page may be on neither. */
export function randomId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) =>
    byte.toString(16).padStart(2, '0'),
  ).join('');
}
