/** What a write takes at a time; connections fill them without a copy. */
export const BLOCK_BYTES = 1 << 20;

/**
 * Memory that connections read into, used again and again: fresh buffers for every read would have the garbage
 * collector run for every few megabytes that arrive.
 */
export class ReadBlocks {
  readonly #free: Buffer<ArrayBufferLike>[] = [];
  readonly #lent = new WeakSet<ArrayBufferLike>();

  take(): Buffer<ArrayBufferLike> {
    const block = this.#free.pop() ?? Buffer.allocUnsafeSlow(BLOCK_BYTES);
    this.#lent.add(block.buffer);
    return block;
  }

  /** Takes back the block that `bytes` are a part of, if they are part of one. */
  release(bytes: Uint8Array): void {
    if (this.#lent.delete(bytes.buffer)) this.#free.push(Buffer.from(bytes.buffer));
  }
}
