/** A quantized tensor of a checkpoint, made of several stored ones. */
export interface QuantizedWeight {
  readonly name: string;
  readonly shape: readonly number[];
  /** What its numbers are rounded to: the type that the weights had, where the file says. */
  readonly type: 'F32' | 'F16' | 'BF16';
  /** See `StoredTensor`. */
  readonly scaled: boolean;
  /** Stored tensors that it is made of, the one that takes its place in the order first. */
  readonly storedAs: readonly string[];
  /** Numbers from `first` on, before they are rounded to `type`. */
  decode(first: number, target: Float32Array): Promise<void>;
}
