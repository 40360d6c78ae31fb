import { type FileMetaData, parquetMetadataAsync, parquetReadObjects, parquetSchema } from 'hyparquet';
import { compressors, decompressZstd } from 'hyparquet-compressors';
import { formatBytes } from '../../base/byte-size.js';
import { FileReader } from '../../base/file-reader.js';
import { quote } from '../../base/text.js';
import { ROW_FIELDS } from './read-row.js';

/** Row groups are read whole; usual ones have 1,000 to 1,048,576 rows and far less than this. */
const MAX_GROUP_BYTES = 2 ** 30;
const MAX_GROUP_ROWS = 2 ** 24;
const MAX_METADATA_BYTES = 2 ** 28;

/** What is wrong with a file, said for its user. */
export class ParquetFault extends Error {}

/**
 * The rows of a Parquet file, whose numbers are checked where they decide how much memory is taken. What the library
 * itself believes of a page (run lengths) is bounded only by the memory of the process it runs in.
 */
export class ParquetFile {
  readonly #file: FileReader;
  readonly #metadata: FileMetaData;
  readonly #columns: readonly string[];

  private constructor(file: FileReader, metadata: FileMetaData, columns: readonly string[]) {
    this.#file = file;
    this.#metadata = metadata;
    this.#columns = columns;
  }

  /** Throws ParquetFault, what FileReader throws, and whatever the library trips over. */
  static async open(path: string): Promise<ParquetFile> {
    const file = await FileReader.open(path);
    const tail = new Uint8Array(8);
    if (file.size < 12) throw new ParquetFault(`expected a Parquet file, found ${file.size} bytes`);
    await file.read(file.size - 8, tail);
    const length = new DataView(tail.buffer).getUint32(0, true);
    if (Buffer.from(tail.subarray(4)).toString('latin1') !== 'PAR1') {
      throw new ParquetFault('expected PAR1 at its end, found something else');
    }
    if (length > Math.min(MAX_METADATA_BYTES, file.size - 12)) {
      throw new ParquetFault(
        `expected its metadata to fit ${formatBytes(file.size)}, found ${formatBytes(length)} of them`,
      );
    }
    const metadata = await parquetMetadataAsync(source(file), { geoparquet: false });
    const names = parquetSchema(metadata).children.map(({ element }) => element.name);
    const columns = names.filter((name) => ROW_FIELDS.includes(name));
    if (columns.length === 0) {
      const found = names.slice(0, 6).map((name) => quote(name, 24));
      throw new ParquetFault(
        `expected columns such as messages, prompt or text, found ${found.join(', ') || 'none'}`,
      );
    }
    return new ParquetFile(file, metadata, columns);
  }

  /** Rows, a group at a time, as plain values; `offset` is how many bytes of the file are behind them. */
  async *groups(): AsyncGenerator<{ readonly rows: unknown[]; readonly offset: number }> {
    let rowStart = 0;
    for (const [i, group] of this.#metadata.row_groups.entries()) {
      const count = Number(group.num_rows);
      if (!Number.isSafeInteger(count) || count < 0 || count > MAX_GROUP_ROWS) {
        throw new ParquetFault(
          `expected at most ${MAX_GROUP_ROWS} rows in row group ${i}, found ${group.num_rows}`,
        );
      }
      this.#checkSize(i);
      const rows = await parquetReadObjects({
        file: source(this.#file),
        metadata: this.#metadata,
        columns: [...this.#columns],
        rowStart,
        rowEnd: rowStart + count,
        compressors: boundedCompressors,
        utf8: false,
        geoparquet: false,
      });
      rowStart += count;
      const share = (i + 1) / this.#metadata.row_groups.length;
      yield { rows: rows.map((row) => plainValue(row)), offset: Math.round(share * this.#file.size) };
    }
  }

  #checkSize(group: number): void {
    let bytes = 0;
    for (const { meta_data: column } of this.#metadata.row_groups[group]!.columns) {
      if (!column || !this.#columns.includes(column.path_in_schema[0]!)) continue;
      bytes += Number(column.total_uncompressed_size);
    }
    if (!(bytes <= MAX_GROUP_BYTES)) {
      throw new ParquetFault(
        `expected at most ${formatBytes(MAX_GROUP_BYTES)} in row group ${group}, found ${formatBytes(bytes)}`,
      );
    }
  }
}

/** The file as the library reads it; a place outside it is refused before memory is taken. */
function source(file: FileReader) {
  return {
    byteLength: file.size,
    async slice(start: number, end = file.size): Promise<ArrayBuffer> {
      if (!(start >= 0 && start <= end && end <= file.size)) {
        throw new ParquetFault(`expected bytes inside its ${file.size}, found ${start} to ${end}`);
      }
      const bytes = new Uint8Array(end - start);
      await file.read(start, bytes);
      return bytes.buffer;
    },
  };
}

/** Decompression that takes no more memory than a page may have. */
const boundedCompressors: typeof compressors = Object.fromEntries(
  Object.entries(compressors).map(([codec, decompress]) => [
    codec,
    (input: Uint8Array, length: number) => {
      if (!(length >= 0 && length <= MAX_GROUP_BYTES)) {
        throw new ParquetFault(
          `expected at most ${formatBytes(MAX_GROUP_BYTES)} in a page, found ${length} bytes`,
        );
      }
      // The library's LZ4 fails on a block of nothing, as a column of nulls can have.
      if (length === 0) return new Uint8Array(0);
      // By itself it believes the size that the compressed bytes claim.
      return codec === 'ZSTD' ? decompressZstd(input, new Uint8Array(length)) : decompress(input, length);
    },
  ]),
);

/** Values as JSON would have them, but that bytes of pictures (`bytes`) stay bytes. */
function plainValue(value: unknown, name?: string): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Uint8Array) return name === 'bytes' ? value : Buffer.from(value).toString('utf8');
  if (Array.isArray(value)) return value.map((item) => plainValue(item));
  if (typeof value !== 'object' || value === null) return value ?? null;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plainValue(inner, key)]));
}
