import { formatBytes } from '../base/byte-size.js';
import { textTable } from '../formats/text-table.js';
import type { Placement, Rung } from '../plan/index.js';

/** The sizes of a model on a machine, as a table for people. */
export function rungTable(rungs: readonly Rung[], hasGpu: boolean): string[] {
  const rows = rungs.map(({ name, fileBytes, placement, tokensPerSecond, cria }) => [
    name,
    formatBytes(fileBytes),
    formatBytes(cria.bytes),
    cria.fits ? speed(cria.tokensPerSecond) : 'no',
    ...(hasGpu ? [where(placement), placement.missing > 0 ? 'no' : speed(tokensPerSecond)] : []),
  ]);
  const gpuHeads = hasGpu ? ['LLAMA.CPP WITH GPU', 'TOK/S'] : [];
  return textTable([['SIZE', 'FILE', 'CRIA NEEDS', 'TOK/S', ...gpuHeads], ...rows], [1, 2, 3, 5]);
}

function speed(tokensPerSecond: number): string {
  return tokensPerSecond < 10 ? tokensPerSecond.toFixed(1) : tokensPerSecond.toFixed(0);
}

/** What of a model is where, in a few words. */
function where({ gpus, ramLayers, ramExpertLayers, ramBytes, missing }: Placement): string {
  if (missing > 0) return `${formatBytes(missing)} short`;
  const onGpu = formatBytes(gpus.reduce((sum, { bytes }) => sum + bytes, 0));
  if (ramLayers.length > 0)
    return `${onGpu} on GPU; ${ramLayers.length} layers in RAM (${formatBytes(ramBytes)})`;
  if (ramExpertLayers.length === 0) return `${onGpu}, all on GPU`;
  return `${onGpu} on GPU; experts of ${ramExpertLayers.length} layers in RAM (${formatBytes(ramBytes)})`;
}
