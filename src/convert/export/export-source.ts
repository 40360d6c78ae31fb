import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CriaError } from '../../base/errors.js';
import { objectMembers, objectText } from '../../base/json-text.js';
import { tensorBytes } from '../../formats/safetensors/index.js';
import type { TensorSource } from '../../formats/tensor-source.js';
import { tensorPieces } from '../../formats/tensor-writer.js';
import { readCheckpointConfig, readCheckpointText } from '../checkpoint-files.js';
import { canonicalName, isVisionName } from '../names.js';
import { openModel } from '../open-model.js';
import { openVision } from '../open-vision.js';
import { type StoredWeight, StoredWeights } from '../stored/stored-weights.js';
import { checkpointFiles } from '../to-safetensors.js';
import {
  type FloatType,
  planStoredTensors,
  type StoredNames,
  type StoredOutput,
} from '../to-stored-tensors.js';
import { multimodalFiles } from './gguf-vision.js';

/** A model to be written as a checkpoint. */
export interface ExportSource extends StoredNames {
  /** The text model. */
  readonly source: TensorSource;
  /** The vision tower and its projector, as they are; none of a text-only model. */
  readonly vision: readonly StoredOutput[];
  /** Text of `config.json`, without a `quantization_config`. */
  readonly config: string;
  /** Other JSON files by name. */
  readonly files: ReadonlyMap<string, object>;
  /** Further files of the folder: name to path. */
  readonly copies: ReadonlyMap<string, string>;
  close(): Promise<void>;
}

/** Before names of the text part: both versions of transformers, and vLLM, know multimodal checkpoints so. */
const MULTIMODAL_PREFIX = 'language_model.';

/** Files of a checkpoint folder that belong to any form of the model. */
const COPIED =
  /^(generation_config|tokenizer|tokenizer_config|special_tokens_map|chat_template|preprocessor_config|processor_config)\.json$|^chat_template\.jinja$|^(LICENSE|NOTICE|USE_POLICY)(\.\w+)?$/;

/**
 * Opens a GGUF file, perhaps with its vision tower in an `mmproj` file, or a checkpoint folder to be written as a
 * checkpoint. Throws what `openModel`, `checkpointFiles` and `multimodalFiles` throw, and `unexpected-option`.
 */
export async function openExportSource(path: string, mmproj?: string): Promise<ExportSource> {
  const source = await openModel(path);
  try {
    const isFolder = (await stat(path)).isDirectory();
    if (isFolder && mmproj !== undefined) {
      const message = `--mmproj needs a GGUF file as MODEL, found the folder '${path}' (which has its own vision tower)`;
      throw new CriaError('usage', 'unexpected-option', message);
    }
    if (isFolder) return await ofFolder(path, source);
    return mmproj === undefined ? await ofGguf(source) : await withVision(await ofGguf(source), mmproj);
  } catch (error) {
    await source.close();
    throw error;
  }
}

async function ofGguf(source: TensorSource): Promise<ExportSource> {
  const files = await checkpointFiles(source);
  const config = JSON.stringify(files.get('config.json'), null, 2);
  files.delete('config.json');
  return {
    source,
    vision: [],
    config,
    files,
    copies: new Map(),
    nameOf: (canonical) => canonical,
    typeOf: () => undefined,
    close: () => source.close(),
  };
}

async function withVision(text: ExportSource, mmproj: string): Promise<ExportSource> {
  const vision = await openVision(mmproj);
  try {
    const config = JSON.parse(text.config) as Record<string, unknown>;
    const files = multimodalFiles(config, text.source.metadata, vision);
    return {
      ...text,
      vision: planStoredTensors(vision),
      config: JSON.stringify(files.config, null, 2),
      files: new Map([...text.files, ['preprocessor_config.json', files.preprocessor]]),
      nameOf: (canonical) => MULTIMODAL_PREFIX + canonical,
      async close() {
        await vision.close();
        await text.close();
      },
    };
  } catch (error) {
    await vision.close();
    throw error;
  }
}

async function ofFolder(folder: string, source: TensorSource): Promise<ExportSource> {
  const config = (await readCheckpointConfig(folder)) as { readonly model_type?: unknown };
  const names = (await readdir(folder)).filter((name) => COPIED.test(name));
  const weights = await StoredWeights.open(folder);
  const stored = new Map(
    [...weights.tensors].map(([name, weight]) => [canonicalName(name), { name, weight }]),
  );
  const prefix = config.model_type === 'llama4' ? MULTIMODAL_PREFIX : '';
  return {
    source,
    vision: [...stored].flatMap(([canonical, { name, weight }]) =>
      isVisionName(canonical) ? [storedOutput(weights, name, canonical, weight)] : [],
    ),
    config: withoutQuantization((await readCheckpointText(folder, 'config.json'))!),
    files: new Map(),
    copies: new Map(names.map((name) => [name, join(folder, name)])),
    nameOf: (canonical) => prefix + canonical,
    typeOf: (canonical) => {
      const found = stored.get(canonical)?.weight;
      return found?.quantized ? undefined : (found?.dtype as FloatType | undefined);
    },
    async close() {
      await weights.close();
      await source.close();
    },
  };
}

/** The text of a configuration without what it says of quantization; numbers stay spelled as they are. */
function withoutQuantization(config: string): string {
  const members = objectMembers(config);
  members.delete('quantization_config');
  const text = members.get('text_config');
  if (text !== undefined) members.set('text_config', withoutQuantization(text));
  return objectText(members);
}

/** A tensor as it is stored, under another name. */
function storedOutput(
  weights: StoredWeights,
  name: string,
  newName: string,
  { dtype, shape }: StoredWeight,
): StoredOutput {
  const type = dtype as FloatType;
  const bytes = tensorBytes(type, shape);
  return {
    infos: [{ name: newName, dtype: type, shape, bytes }],
    async *pieces() {
      let offset = 0;
      for await (const piece of tensorPieces(bytes, (at, target) => weights.read(name, at, target))) {
        yield { name: newName, offset, bytes: piece };
        offset += piece.length;
      }
    },
  };
}
