// Entry point of the process that reads a Parquet file, whose path is its argument: see parquet-rows.ts.
import { CriaError } from '../../base/errors.js';
import { ParquetFault, ParquetFile } from './parquet-file.js';

/** What comes back for each message, which asks for more rows. */
export type ParquetReply =
  | { readonly kind: 'rows'; readonly rows: readonly unknown[]; readonly offset: number }
  | { readonly kind: 'end' }
  | { readonly kind: 'error'; readonly reason: string };

const ROWS_PER_REPLY = 256;

async function* replies(path: string): AsyncGenerator<ParquetReply> {
  try {
    const file = await ParquetFile.open(path);
    for await (const { rows, offset } of file.groups()) {
      for (let at = 0; at < rows.length; at += ROWS_PER_REPLY) {
        yield { kind: 'rows', rows: rows.slice(at, at + ROWS_PER_REPLY), offset };
      }
    }
    yield { kind: 'end' };
  } catch (error) {
    yield { kind: 'error', reason: reasonFor(error) };
  }
}

function reasonFor(error: unknown): string {
  if (error instanceof ParquetFault || error instanceof CriaError) return error.message;
  return `its parts contradict each other (${error instanceof Error ? error.message : String(error)})`;
}

const answers = replies(process.argv[2]!);
process.on('message', async () => {
  const { value, done } = await answers.next();
  process.send!(done ? ({ kind: 'end' } satisfies ParquetReply) : value);
});
// Ctrl-C reaches all processes of a terminal; the one that asked decides what it means.
process.on('SIGINT', () => {});
process.on('disconnect', () => process.exit());
