import type { CacheTypes } from './cache-size.js';
import type { Placement } from './placement.js';

export interface CommandRequest {
  /** A file, or what downloads one: `-hf user/repo:QUANT`. */
  readonly model: string;
  /** File of the vision tower. */
  readonly mmproj?: string;
  readonly contextSize: number;
  readonly threads: number;
  readonly cacheTypes: CacheTypes;
  readonly placement: Placement;
  /** Layers of the model. */
  readonly layers: number;
}

/** The llama.cpp command line that makes a placement. Pure. */
export function llamaCppCommand(request: CommandRequest): string {
  const { placement, layers, cacheTypes } = request;
  const offloaded = placement.gpus.reduce((sum, gpu) => sum + gpu.layers.length, 0);
  const tower = request.mmproj === undefined ? [] : [`--mmproj ${request.mmproj}`];
  const program = request.mmproj === undefined ? 'llama-cli' : 'llama-mtmd-cli';
  const words = [program, request.model, ...tower, '--jinja', `--ctx-size ${request.contextSize}`];
  words.push(`--threads ${request.threads}`);
  if (offloaded > 0) {
    // One more than the layers takes the output matrix along.
    words.push(`--n-gpu-layers ${offloaded === layers ? 99 : offloaded + 1}`);
    if (placement.ramExpertLayers.length > 0) words.push(`-ot ${expertPattern(placement, layers)}`);
    if (placement.gpus.length > 1) {
      const shares = placement.gpus.map((gpu) => gpu.layers.length).join(',');
      words.push(`--split-mode layer --tensor-split ${shares}`);
    }
  }
  // Quantized values need flash attention in llama.cpp, which it chooses by itself where it can.
  if (cacheTypes.k !== 'f16') words.push(`--cache-type-k ${cacheTypes.k}`);
  if (cacheTypes.v !== 'f16') words.push(`--cache-type-v ${cacheTypes.v}`);
  return `${words.join(' ')} --temp 0.6 --min-p 0.01 --top-p 0.9`;
}

function expertPattern({ ramExpertLayers, ramLayers }: Placement, layers: number): string {
  const everywhere = ramExpertLayers.length + ramLayers.length === layers;
  const which = everywhere ? '' : `blk\\.(${ramExpertLayers.join('|')})\\.`;
  return `"${which}${everywhere ? '.' : ''}ffn_.*_exps\\.=CPU"`;
}
