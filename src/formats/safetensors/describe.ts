import { quote } from '../../base/text.js';
import {
  describeTensors,
  type ModelDescription,
  plain,
  renderParts,
  renderTensors,
} from '../describe-tensors.js';
import { textTable } from '../text-table.js';
import type { SafetensorsFile } from './safetensors-file.js';

export interface SafetensorsDescription extends ModelDescription {
  readonly format: 'safetensors';
  readonly metadata: readonly { readonly key: string; readonly value: string }[];
}

/** What `cria inspect --json` prints of a safetensors checkpoint. Shapes are in torch's order. */
export function describeSafetensors(file: SafetensorsFile): SafetensorsDescription {
  return {
    format: 'safetensors',
    metadata: [...file.metadata].map(([key, value]) => ({ key, value })),
    ...describeTensors(
      file.path,
      file.parts,
      [...file.tensors.values()].map(({ name, dtype, shape, bytes, offset, part }) => ({
        name,
        type: dtype,
        shape,
        bytes,
        offset,
        part,
      })),
    ),
  };
}

/** The same for people: files, metadata, tensors, totals. */
export function renderSafetensors(description: SafetensorsDescription): string {
  const rows = description.metadata.map(({ key, value }) => [plain(key), quote(value, 80)]);
  return [
    ...renderParts(description, 'safetensors'),
    '',
    ...(rows.length === 0 ? [] : [...textTable([['key', 'value'], ...rows]), '']),
    ...renderTensors(description),
    '',
  ].join('\n');
}
