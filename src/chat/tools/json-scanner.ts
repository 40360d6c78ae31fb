/**
 * Follows JSON through pieces of text by brackets and quotes alone. Starts before the first character of a value
 * that is an object, an array or a string.
 */
export class JsonScanner {
  #depth: number;
  #inString = false;
  #escaped = false;

  /** @param depth brackets that are open already */
  constructor(depth = 0) {
    this.#depth = depth;
  }

  /** Index after the value's last character, or -1 when the text ends within it. */
  end(text: string, from: number): number {
    for (let i = from; i < text.length; i++) {
      const character = text[i];
      if (this.#inString) {
        if (this.#escaped) this.#escaped = false;
        else if (character === '\\') this.#escaped = true;
        else if (character === '"') {
          this.#inString = false;
          if (this.#depth === 0) return i + 1;
        }
      } else if (character === '"') this.#inString = true;
      else if (character === '{' || character === '[') this.#depth++;
      else if (character === '}' || character === ']') {
        this.#depth--;
        if (this.#depth <= 0) return i + 1;
      }
    }
    return -1;
  }
}
