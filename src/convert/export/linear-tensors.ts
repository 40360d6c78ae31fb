import { rowCount, type TensorInfo, type TensorSource } from '../../formats/tensor-source.js';
import { huggingFaceName } from '../names.js';

/** A tensor of linear layers: one, or one for each routed expert of a layer. */
export interface LinearTensor {
  /** As GGUF files have it; the rows of its experts follow one another. */
  readonly info: TensorInfo;
  /** Modules without `.weight`, in the order of the rows. */
  readonly modules: readonly string[];
  /** Of each module: outputs and inputs. */
  readonly rows: number;
  readonly columns: number;
}

/**
 * The linear layers that bitsandbytes may quantize: projections of attention and of feed-forward parts. The router is
 * a linear layer too, and stays as it is, as do embeddings, output and norms.
 */
export function linearTensors(
  source: TensorSource,
  nameOf: (canonical: string) => string,
): Map<string, LinearTensor> {
  const linears = new Map<string, LinearTensor>();
  for (const info of source.tensors.values()) {
    const modules = modulesOf(info, nameOf);
    if (!modules) continue;
    const columns = info.shape[0]!;
    linears.set(info.name, { info, modules, rows: rowCount(info.shape) / modules.length, columns });
  }
  return linears;
}

/** Whether a tensor, by its GGUF name, holds the routed experts of a layer. */
export function isExpertTensor(name: string): boolean {
  return /_exps\.weight$/.test(name);
}

function modulesOf({ name, shape }: TensorInfo, nameOf: (canonical: string) => string): string[] | undefined {
  const expert = /^blk\.(\d+)\.ffn_(gate|up|down)_exps\.weight$/.exec(name);
  if (expert) {
    const experts = nameOf(`model.layers.${expert[1]}.feed_forward.experts`);
    return Array.from({ length: shape[2] ?? 1 }, (_, index) => `${experts}.${index}.${expert[2]}_proj`);
  }
  const canonical = huggingFaceName(name);
  return canonical?.endsWith('_proj.weight') ? [nameOf(canonical.slice(0, -'.weight'.length))] : undefined;
}
