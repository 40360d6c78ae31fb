import { badAdapter, type LoraTensor, type LoraWeights, MAX_RANK } from './adapter.js';
import type { FactorPair, ReadFactor } from './open-peft.js';
import type { PeftConfig } from './peft-config.js';
import { FUSED_PARAMETERS } from './peft-keys.js';

// PEFT's ParamWrapper (0.17 to 0.21) on transformers' fused experts, parameters [experts, inputs, outputs]: its "A"
// acts on the outputs and its "B" on the inputs. A is [experts · rank, outputs], row e · rank + k; B is
// [inputs, rank · experts], column k · experts + e. The parameter registered first (gate_up_proj) is wrapped first, so
// that its keys have a `base_layer` more when both are adapted.

/** The factors of a layer's experts by nesting. */
export interface FusedFactors {
  readonly inner?: FactorPair;
  readonly outer?: FactorPair;
}

/** Outputs [firstRow, …) of a fused parameter. */
export interface FusedHalf {
  readonly pair: FactorPair;
  readonly firstRow: number;
}

/** The GGUF weights that a layer's fused factors change. Throws `bad-adapter`. */
export function fusedTensors(
  folder: string,
  config: PeftConfig,
  layer: number,
  { inner, outer }: FusedFactors,
): [tensor: LoraTensor, half: FusedHalf][] {
  const pairs: { gateUp?: FactorPair; down?: FactorPair } = {};
  if (inner && outer) {
    Object.assign(
      pairs,
      makeSense(inner, outer) ? { gateUp: inner, down: outer } : { gateUp: outer, down: inner },
    );
    if (!makeSense(pairs.gateUp!, pairs.down!)) {
      throw badAdapter(folder, `the shapes of the factors of ${outer.module} do not belong together`);
    }
  } else {
    const pair = (inner ?? outer)!;
    const targets = (parameter: string) =>
      config.targetParameters.some((target) => target.endsWith(parameter));
    const [gateUp, down] = [targets(FUSED_PARAMETERS.gateUp), targets(FUSED_PARAMETERS.down)];
    if (gateUp === down) {
      const found = gateUp ? 'both' : 'neither';
      throw badAdapter(
        folder,
        `${pair.module} has one pair of factors: expected target_parameters to name gate_up_proj or down_proj, found ${found}`,
      );
    }
    Object.assign(pairs, gateUp ? { gateUp: pair } : { down: pair });
  }
  const tensors: [LoraTensor, FusedHalf][] = [];
  const add = (part: string, pair: FactorPair, parameter: string, halves: number, half: number) => {
    const module = `${pair.module.replace(/\.base_layer$/, '')}.${parameter}`;
    const rank = config.rank(module);
    const [stacked, outputs] = pair.a.shape;
    const rows = outputs / halves;
    const experts = stacked / rank;
    if (
      pair.b.shape[1] !== stacked ||
      !Number.isInteger(experts) ||
      !Number.isInteger(rows) ||
      rank > MAX_RANK
    ) {
      throw badAdapter(
        folder,
        `${module}: factors of shapes [${pair.a.shape.join(', ')}] and [${pair.b.shape.join(', ')}] are not of rank ${rank} for a number of experts`,
      );
    }
    const name = `blk.${layer}.ffn_${part}_exps.weight`;
    const tensor = { name, columns: pair.b.shape[0], rows, rank, experts, scale: config.scale(module) };
    tensors.push([tensor, { pair, firstRow: half * rows }]);
  };
  const { gateUp, down } = pairs;
  if (gateUp) {
    add('gate', gateUp, FUSED_PARAMETERS.gateUp, 2, 0);
    add('up', gateUp, FUSED_PARAMETERS.gateUp, 2, 1);
  }
  if (down) add('down', down, FUSED_PARAMETERS.down, 1, 0);
  return tensors;
}

/** Gate and up make twice what down takes, and down makes what they take. */
function makeSense(gateUp: FactorPair, down: FactorPair): boolean {
  return gateUp.a.shape[1] === 2 * down.b.shape[0] && gateUp.b.shape[0] === down.a.shape[1];
}

/** One weight's factors, turned to the side of the linear layer: a takes inputs, b gives outputs. */
export async function readFused(
  { columns, rows, rank, experts }: LoraTensor,
  { pair, firstRow }: FusedHalf,
  read: ReadFactor,
): Promise<LoraWeights> {
  const onOutputs = await read(pair.a);
  const onInputs = await read(pair.b);
  const outputs = pair.a.shape[1];
  const a = new Float32Array(experts * rank * columns);
  const b = new Float32Array(experts * rows * rank);
  for (let e = 0; e < experts; e++) {
    for (let k = 0; k < rank; k++) {
      for (let i = 0; i < columns; i++) {
        a[(e * rank + k) * columns + i] = onInputs[i * rank * experts + k * experts + e]!;
      }
      for (let row = 0; row < rows; row++) {
        b[(e * rows + row) * rank + k] = onOutputs[(e * rank + k) * outputs + firstRow + row]!;
      }
    }
  }
  return { a, b };
}

/** The reverse: PEFT's tensors of one fused parameter from the factors of its halves, all of one rank. */
export function fuseFactors(
  tensor: Pick<LoraTensor, 'columns' | 'rank' | 'experts'>,
  a: Float32Array,
  halves: readonly { readonly rows: number; readonly b: Float32Array }[],
): { a: Float32Array; b: Float32Array } {
  const { columns, rank, experts } = tensor;
  const outputs = halves.reduce((sum, { rows }) => sum + rows, 0);
  const onOutputs = new Float32Array(experts * rank * outputs);
  const onInputs = new Float32Array(columns * rank * experts);
  for (let e = 0; e < experts; e++) {
    for (let k = 0; k < rank; k++) {
      for (let i = 0; i < columns; i++) {
        onInputs[i * rank * experts + k * experts + e] = a[(e * rank + k) * columns + i]!;
      }
      let firstRow = 0;
      for (const { rows, b } of halves) {
        for (let row = 0; row < rows; row++) {
          onOutputs[(e * rank + k) * outputs + firstRow + row] = b[(e * rows + row) * rank + k]!;
        }
        firstRow += rows;
      }
    }
  }
  return { a: onOutputs, b: onInputs };
}
