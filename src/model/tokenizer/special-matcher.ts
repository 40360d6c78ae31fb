interface Node {
  readonly children: Map<number, Node>;
  id: number;
}

/** Finds tokens that are matched as whole texts; time per character is bounded by the longest of them. */
export class SpecialMatcher {
  readonly #root: Node = { children: new Map(), id: -1 };
  #matchedLength = 0;

  constructor(tokens: Iterable<readonly [text: string, id: number]>) {
    for (const [text, id] of tokens) {
      let node = this.#root;
      for (let i = 0; i < text.length; i++) {
        const code = text.charCodeAt(i);
        let child = node.children.get(code);
        if (child === undefined) {
          child = { children: new Map(), id: -1 };
          node.children.set(code, child);
        }
        node = child;
      }
      node.id = id;
    }
  }

  /** Calls `found(id, start, end)` for the leftmost occurrences, the longest where several begin. */
  forEach(text: string, found: (id: number, start: number, end: number) => void): void {
    if (this.#root.children.size === 0) return;
    for (let at = 0; at < text.length; ) {
      const id = this.#longestAt(text, at);
      if (id === -1) {
        at++;
      } else {
        found(id, at, at + this.#matchedLength);
        at += this.#matchedLength;
      }
    }
  }

  #longestAt(text: string, start: number): number {
    let node = this.#root;
    let id = -1;
    for (let at = start; at < text.length; at++) {
      const child = node.children.get(text.charCodeAt(at));
      if (child === undefined) break;
      node = child;
      if (node.id !== -1) {
        id = node.id;
        this.#matchedLength = at + 1 - start;
      }
    }
    return id;
  }
}
