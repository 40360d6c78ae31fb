/** Low-rank adapter of one matrix, or of two that share their `A`. */
export interface LoraParameter {
  /**
   * Names of GGUF tensors: one, or `[ffn_gate_exps, ffn_up_exps]` of a layer, which are one parameter in PEFT
   * (`gate_up_proj`) and so share one `A` per expert. `lora_b` then has gate's rows before up's.
   */
  readonly tensors: readonly string[];
  readonly rank: number;
  readonly alpha: number;
  /** Factor of `B A x`: alpha / rank, or alpha / √rank with rsLoRA. */
  readonly scale: number;
}

/** What learns: adapters of a frozen base, or the model's own tensors. */
export type Trainable =
  | {
      readonly kind: 'lora';
      readonly parameters: readonly LoraParameter[];
      /** Probability with which an element of an adapter's input is zeroed while training. */
      readonly dropout: number;
    }
  | {
      readonly kind: 'full';
      /** Names of tensors that stay as they are. */
      readonly frozen?: readonly string[];
    };

export type OptimizerKind = 'adamw' | 'adamw_8bit';

/** T tokens of one or more sequences, each at consecutive places. */
export interface TrainingBatch {
  /** [T]; negative: row `−1 − id` of `pictures`. */
  readonly ids: Int32Array;
  /** [T] the sequence of each token; tokens see only their own. */
  readonly sequences: Int32Array;
  /** [T], from 0 in every sequence. */
  readonly positions: Int32Array;
  /** [T] the token that should follow; −1 where no loss is taken. */
  readonly targets: Int32Array;
  /** [T] factor of each token's −log p in the loss; 1 where absent. */
  readonly weights?: Float32Array;
  /** [n][width] embedded pictures, which stay as they are. */
  readonly pictures?: Float32Array;
}

export interface BatchLoss {
  /** Σ weight × −log p. */
  readonly sum: number;
  /** Tokens with a target. */
  readonly tokens: number;
  /** The routers' auxiliary loss, before its coefficient: see `router-loss.ts`; 0 without experts. */
  readonly auxiliary: number;
}

/** Hyperparameters of one step of AdamW (https://arxiv.org/abs/1711.05101). */
export interface OptimizerStep {
  readonly learningRate: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly weightDecay: number;
  /** The norm of all gradients together is cut to this; 0: it is not. */
  readonly maxNorm: number;
}

/** A tensor that learns. */
export interface ParameterInfo {
  /** A GGUF tensor's name; of an adapter, that of its first tensor with `.lora_a` or `.lora_b` in the end. */
  readonly name: string;
  /** In GGUF's order: the dimension that is contiguous first. Adapters: A [columns, rank], B [rank, rows]. */
  readonly shape: readonly number[];
  /** Vectors (norms) do not decay. */
  readonly decays: boolean;
}

/** Part of an optimizer's state, as it is in memory. */
export interface StateTensor {
  readonly name: string;
  readonly dtype: 'F32' | 'U8';
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** Bytes that training takes, all of them in WebAssembly memories. */
export interface TrainingMemory {
  readonly weights: number;
  readonly parameters: number;
  readonly gradients: number;
  readonly optimizer: number;
  readonly activations: number;
}
