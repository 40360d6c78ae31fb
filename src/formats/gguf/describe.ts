import { quote } from '../../base/text.js';
import {
  describeTensors,
  type ModelDescription,
  plain,
  renderParts,
  renderTensors,
} from '../describe-tensors.js';
import type { MetadataArray, MetadataValue } from '../tensor-source.js';
import { textTable } from '../text-table.js';
import type { GgufFile } from './gguf-file.js';

/** A value that JSON can hold: numbers that a double cannot (64-bit, NaN, infinities) are strings. */
export type PlainValue = number | boolean | string | readonly PlainValue[];

export interface MetadataDescription {
  readonly key: string;
  readonly type: MetadataValue['type'];
  /** The whole value, but of arrays only the first elements. */
  readonly value: PlainValue;
  /** Of arrays: type of the elements and their number. */
  readonly items?: MetadataValue['type'];
  readonly length?: number;
}

export interface GgufDescription extends ModelDescription {
  readonly format: 'gguf';
  readonly version: number;
  readonly alignment: number;
  readonly metadata: readonly MetadataDescription[];
}

/** Elements of an array that are shown: enough to recognize a vocabulary, and all of a list of tags. */
const SHOWN_ELEMENTS = 8;

/** What `cria inspect --json` prints of a GGUF model. */
export function describeGguf(file: GgufFile): GgufDescription {
  return {
    format: 'gguf',
    version: file.version,
    alignment: file.alignment,
    metadata: [...file.metadata].map(([key, value]) => describeValue(key, value)),
    ...describeTensors(
      file.path,
      file.parts,
      [...file.tensors.values()].map(({ name, type, shape, bytes, offset, part }) => ({
        name,
        type,
        shape,
        bytes,
        offset,
        part,
      })),
    ),
  };
}

/** The same for people: files, metadata, tensors, totals. */
export function renderGguf(description: GgufDescription): string {
  const { version, alignment, metadata } = description;
  const rows = metadata.map((entry) => [
    plain(entry.key),
    entry.items === undefined ? entry.type : `${entry.items}[${entry.length}]`,
    renderValue(entry),
  ]);
  return [
    ...renderParts(description, `GGUF version ${version}, alignment ${alignment}`),
    '',
    ...textTable([['key', 'type', 'value'], ...rows]),
    '',
    ...renderTensors(description),
    '',
  ].join('\n');
}

function describeValue(key: string, entry: MetadataValue): MetadataDescription {
  if (entry.type !== 'array') return { key, type: entry.type, value: plainValue(entry.value) };
  return { key, type: 'array', items: entry.items, length: entry.value.length, value: plainValue(entry) };
}

function plainValue(value: number | bigint | boolean | string | MetadataArray): PlainValue {
  if (typeof value === 'object') return value.value.slice(0, SHOWN_ELEMENTS).map(plainValue);
  if (typeof value === 'bigint') {
    return Number.isSafeInteger(Number(value)) ? Number(value) : value.toString();
  }
  return typeof value === 'number' && !Number.isFinite(value) ? String(value) : value;
}

function renderValue({ type, value, length }: MetadataDescription): string {
  if (type === 'string') return quote(value as string, 80);
  if (!Array.isArray(value)) return String(value);
  const shown = value.map((item) => (typeof item === 'string' ? quote(item, 20) : JSON.stringify(item)));
  return `[${shown.join(', ')}${length! > value.length ? ', …' : ''}]`;
}
