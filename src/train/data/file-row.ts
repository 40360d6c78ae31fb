import type { RowFault } from './row-fault.js';

/** A document or a piece of one, of a plain text file. */
export interface TextPiece {
  readonly text: string;
  /** Whether the document ends with this piece. */
  readonly ends: boolean;
}

/** One row of a data file, before anybody looked at what it says. */
export interface FileRow {
  /** Line or row it begins at, from 1. */
  readonly row: number;
  readonly content:
    | { readonly kind: 'value'; readonly value: unknown }
    | ({ readonly kind: 'text' } & TextPiece)
    | { readonly kind: 'fault'; readonly fault: RowFault };
  /** Bytes of the file read so far, to show progress by. */
  readonly offset: number;
}
