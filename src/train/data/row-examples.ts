import { CriaError } from '../../base/errors.js';
import type { DataRow, RowChat, RowCompletion } from './data-row.js';
import type { Example } from './example.js';
import type { PreparedPictures } from './prepared-pictures.js';
import { RowFault } from './row-fault.js';
import { chatSequences, completionSequence, type SequenceOptions, textSequences } from './row-sequences.js';
import { learntTokens, type Sequence, shortened, withoutTail } from './sequence.js';
import type { OverlongRows } from './types.js';

export interface ExampleOptions extends SequenceOptions {
  readonly contextSize: number;
  readonly overlong: OverlongRows;
}

/** A row as examples: several for text of many windows. */
export interface RowExamples {
  readonly examples: readonly Example[];
  /** Sequences that were cut to the context. */
  readonly truncated: number;
}

/** Thrown for a row longer than the context where such rows are skipped. */
export class OverlongRow extends Error {}

/**
 * Tokens of a row. Throws RowFault, OverlongRow, `row-too-long` (usage) where rows longer than the context are
 * refused, and what PreparedPictures throws.
 *
 * @param where names the row in errors
 */
export async function rowExamples(
  row: DataRow,
  options: ExampleOptions,
  pictures: PreparedPictures,
  dataFile: string,
  where: string,
): Promise<RowExamples> {
  if (row.kind === 'text') {
    const windows = textSequences(row, options, options.contextSize);
    return { examples: windows.map((window) => ({ sequences: [window], pictures: [] })), truncated: 0 };
  }
  const own = pictures.forExample(dataFile, where);
  const sequencesOf = async (answer: RowChat | RowCompletion) =>
    answer.kind === 'chat' ? chatSequences(answer, options, own.add) : [completionSequence(answer, options)];
  let truncated = 0;
  const fit = (sequence: Sequence): Sequence => {
    const { contextSize } = options;
    if (sequence.ids.length <= contextSize) return sequence;
    refuseOverlong(sequence.ids.length, options, where);
    truncated++;
    const cut = withoutTail(shortened(sequence, contextSize));
    if (learntTokens(cut) > 0) return cut;
    throw new RowFault(`its first ${contextSize} tokens have nothing to learn`);
  };
  if (row.kind !== 'pair') {
    const sequences = (await sequencesOf(row)).map(fit);
    return {
      examples: sequences.map((sequence) => ({ sequences: [sequence], pictures: own.blobs })),
      truncated,
    };
  }
  const pair = [...(await sequencesOf(row.chosen)), ...(await sequencesOf(row.rejected))].map(fit);
  if (pair.length !== 2)
    throw new RowFault('expected one layout of each answer: the chat template needs several');
  return { examples: [{ sequences: pair, pictures: own.blobs }], truncated };
}

function refuseOverlong(length: number, { contextSize, overlong }: ExampleOptions, where: string): void {
  if (overlong === 'truncate') return;
  const found = `expected at most ${contextSize} tokens, the context, found ${length}`;
  if (overlong === 'skip') throw new OverlongRow(found);
  throw new CriaError(
    'usage',
    'row-too-long',
    `${where}: ${found}: train with more context, or skip or cut such rows`,
  );
}
