import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import type { Metadata, MetadataValue } from '../formats/tensor-source.js';
import type { Floor } from './candidates.js';

/** Metadata keys under which a quantized file says how it was made, so that anyone can make it again. */
export const PROVENANCE_KEYS = {
  /** The choice as given: a recipe, a type, or a target such as `33800000000 bytes`. */
  request: 'cria.quantize.request',
  /** JSON: per measured tensor its sensitivity and the floor its type may not go below. */
  tensors: 'cria.quantize.tensors',
  imatrix: 'cria.quantize.imatrix_sha256',
  /** Of the texts the sensitivities were measured on, in order. */
  texts: 'cria.quantize.text_sha256',
  /** `NAME SHA-256` of every input file. */
  inputs: 'cria.quantize.input_sha256',
} as const;

export interface TensorProvenance {
  readonly sensitivity: number;
  readonly floor: Floor;
}

export interface Provenance {
  readonly request: string;
  readonly tensors?: ReadonlyMap<string, TensorProvenance>;
  readonly imatrixSha256?: string;
  readonly textSha256?: readonly string[];
  readonly inputSha256?: readonly string[];
}

export function provenanceMetadata(provenance: Provenance): Metadata {
  const metadata = new Map<string, MetadataValue>();
  const list = (key: string, value: readonly string[] | undefined) => {
    if (value !== undefined) metadata.set(key, { type: 'array', items: 'string', value });
  };
  metadata.set(PROVENANCE_KEYS.request, { type: 'string', value: provenance.request });
  if (provenance.tensors !== undefined) {
    const tensors = [...provenance.tensors].map(([name, { sensitivity, floor }]) => [
      name,
      { sensitivity: Number(sensitivity.toPrecision(6)), floor },
    ]);
    metadata.set(PROVENANCE_KEYS.tensors, {
      type: 'string',
      value: JSON.stringify(Object.fromEntries(tensors)),
    });
  }
  if (provenance.imatrixSha256 !== undefined) {
    metadata.set(PROVENANCE_KEYS.imatrix, { type: 'string', value: provenance.imatrixSha256 });
  }
  list(PROVENANCE_KEYS.texts, provenance.textSha256);
  list(PROVENANCE_KEYS.inputs, provenance.inputSha256);
  return metadata;
}

/** SHA-256 of a file's content, in hexadecimal. */
export async function fileSha256(path: string, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: 2 ** 22 }), hash, { signal });
  return hash.digest('hex');
}
