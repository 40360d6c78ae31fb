import { CriaError } from '../base/errors.js';
import { openGguf, writeGguf } from '../formats/gguf/index.js';
import type { MetadataValue, TensorInfo } from '../formats/tensor-source.js';
import type { CalibrationTotals } from './calibration-totals.js';

// An unfinished calibration as a GGUF file: unlike in an importance matrix, sums are F64 and counts are kept by
// text, so that going on gives the bits that an uninterrupted run gives.
const TYPE = 'cria-calibration';
const KEYS = {
  type: 'general.type',
  work: 'cria.calibration.work',
  chunks: 'cria.calibration.chunks',
} as const;

function tensorsOf(totals: CalibrationTotals): { info: TensorInfo; values: Float64Array }[] {
  return totals.inputs.flatMap(({ names, sums, counts }) =>
    [['sums', sums] as const, ['counts', counts] as const].map(([what, values]) => ({
      info: { name: `${names[0]}.${what}`, type: 'F64', shape: [values.length], bytes: values.byteLength },
      values,
    })),
  );
}

/** Saves totals; `work` identifies the windows they are made of. */
export async function writeState(path: string, work: string, totals: CalibrationTotals): Promise<void> {
  const tensors = tensorsOf(totals);
  const values = new Map(tensors.map(({ info, values }) => [info.name, values]));
  await writeGguf(path, {
    metadata: new Map<string, MetadataValue>([
      [KEYS.type, { type: 'string', value: TYPE }],
      [KEYS.work, { type: 'string', value: work }],
      [KEYS.chunks, { type: 'uint32', value: totals.chunks }],
    ]),
    tensors: tensors.map(({ info }) => info),
    write: ({ name }) => new Uint8Array(values.get(name)!.buffer),
  });
}

/**
 * Continues from a saved state: fills `totals` and returns true. False, with `totals` as they were, when there is no
 * file, or it is damaged, of another model, or of other windows: `workOf(n)` identifies the first `n`, and is
 * undefined when there are not as many.
 */
export async function readState(
  path: string,
  workOf: (chunks: number) => string | undefined,
  totals: CalibrationTotals,
): Promise<boolean> {
  const file = await openGguf(path).catch((error) => {
    // Reading can go wrong in ways that another try mends; a file that is no state will not become one.
    if (!(error instanceof CriaError) || error.kind === 'resources') throw error;
    return undefined;
  });
  if (!file) return false;
  try {
    const chunks = file.metadata.get(KEYS.chunks)?.value;
    const tensors = tensorsOf(totals);
    const matches =
      file.metadata.get(KEYS.type)?.value === TYPE &&
      typeof chunks === 'number' &&
      file.metadata.get(KEYS.work)?.value === workOf(chunks) &&
      tensors.every(({ info }) => file.tensors.get(info.name)?.bytes === info.bytes);
    if (!matches) return false;
    for (const { info, values } of tensors) await file.read(info.name, 0, new Uint8Array(values.buffer));
    totals.chunks = chunks;
    return true;
  } finally {
    await file.close();
  }
}
