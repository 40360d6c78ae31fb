import { objectMembers, objectText } from '../../base/json-text.js';
import { quantizationConfig } from '../../formats/bitsandbytes/index.js';
import { rowBytes } from '../../formats/ggml-types.js';
import {
  type FloatType,
  floatType,
  planStoredTensors,
  rowsOutput,
  type StoredOutput,
} from '../to-stored-tensors.js';
import { type ExportOptions, writeCheckpoint } from '../write-checkpoint.js';
import type { ExportSource } from './export-source.js';
import { type FourBitOptions, fourBitOutput, layoutFourBitModule, TORCH_DTYPES } from './four-bit-output.js';
import { int8Output } from './int8-output.js';
import { isExpertTensor, type LinearTensor, linearTensors } from './linear-tensors.js';

/** Forms of a checkpoint. */
export type ExportFormat =
  | { readonly kind: 'safetensors' }
  | { readonly kind: 'bnb-8bit' }
  | ({
      readonly kind: 'bnb-4bit';
      /** Tensors of linear layers that stay in 16 bits, by their GGUF names. */
      readonly kept?: ReadonlySet<string>;
    } & FourBitOptions);

export interface ExportModelOptions extends ExportOptions {
  readonly format: ExportFormat;
  /**
   * `linear`: each routed expert has linear layers of its own, which transformers 4 and vLLM need of quantized
   * checkpoints. `fused`: the experts of a layer are two tensors of 16 bits, as in Meta's checkpoints; transformers 5
   * quantizes nothing else.
   */
  readonly experts: 'linear' | 'fused';
}

/**
 * Writes a model as a checkpoint folder, tensor after tensor, and returns the paths of its files. Routers, embeddings,
 * output, norms and the vision tower keep their numbers in every format. Throws `quantized-input`, and what
 * `writeCheckpoint` throws.
 */
export async function exportModel(
  model: ExportSource,
  folder: string,
  options: ExportModelOptions,
): Promise<string[]> {
  const files = new Map<string, object | string>([['config.json', configOf(model, options)], ...model.files]);
  return writeCheckpoint(
    folder,
    { outputs: planExport(model, options), files, copies: model.copies },
    options,
  );
}

/** Bytes of the tensors of an export. */
export function exportBytes(model: ExportSource, options: ExportModelOptions): number {
  const infos = planExport(model, options).flatMap((output) => output.infos);
  return infos.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** Bytes of a tensor of linear layers in 4 bits and as it is: what keeping it costs. */
export interface LinearBytes {
  readonly name: string;
  readonly roundedBytes: number;
  readonly keptBytes: number;
}

/** The tensors that an export in 4 bits rounds. */
export function roundedTensors(
  { source, nameOf }: ExportSource,
  experts: ExportModelOptions['experts'],
  options: FourBitOptions,
): LinearBytes[] {
  return [...linearTensors(source, nameOf).values()]
    .filter(({ info }) => experts === 'linear' || !isExpertTensor(info.name))
    .map((linear) => {
      const layouts = linear.modules.map((_, index) =>
        layoutFourBitModule(source.path, linear, index, options),
      );
      const tensors = layouts.flatMap(({ nested, ...all }) => [
        ...Object.values(all),
        ...Object.values(nested ?? {}),
      ]);
      return {
        name: linear.info.name,
        roundedBytes: tensors.reduce((sum, { bytes }) => sum + bytes, 0),
        keptBytes: linear.info.bytes,
      };
    });
}

/** Every tensor of the checkpoint, in the order of the source. */
function planExport(model: ExportSource, { format, experts }: ExportModelOptions): StoredOutput[] {
  const { source } = model;
  const linears = linearTensors(source, model.nameOf);
  const outputs: StoredOutput[] = [];
  const fused = [];
  for (const info of source.tensors.values()) {
    const linear = linears.get(info.name);
    floatType(source.path, info);
    if (isExpertTensor(info.name) && experts === 'fused') {
      fused.push(info);
    } else if (!linear || (format.kind === 'safetensors' && !isExpertTensor(info.name))) {
      outputs.push(...planStoredTensors(source, [info], model));
    } else {
      for (const index of linear.modules.keys()) outputs.push(linearOutput(model, linear, index, format));
    }
  }
  return [...outputs, ...planStoredTensors(source, fused, model), ...model.vision];
}

function linearOutput(
  { source }: ExportSource,
  linear: LinearTensor,
  index: number,
  format: ExportFormat,
): StoredOutput {
  const { info, modules, rows, columns } = linear;
  const kept = format.kind === 'safetensors' || (format.kind === 'bnb-4bit' && format.kept?.has(info.name));
  if (!kept) {
    return format.kind === 'bnb-4bit'
      ? fourBitOutput(source, linear, index, format)
      : int8Output(source, linear, index);
  }
  return rowsOutput(source, info, index * rows, {
    name: `${modules[index]}.weight`,
    dtype: info.type as FloatType,
    shape: [rows, columns],
    bytes: rows * rowBytes(info.type, columns),
  });
}

/** The text of `config.json`. */
function configOf(model: ExportSource, { format }: ExportModelOptions): string {
  if (format.kind === 'safetensors') return model.config;
  const skipModules = skippedModules(model, format);
  const type = model.source.tensors.get('token_embd.weight')?.type as FloatType;
  const quantization =
    format.kind === 'bnb-4bit'
      ? quantizationConfig({ bits: 4, ...format, skipModules, computeDtype: TORCH_DTYPES[type] })
      : quantizationConfig({ bits: 8, skipModules });
  return objectText(objectMembers(model.config).set('quantization_config', quantization));
}

/**
 * `llm_int8_skip_modules`: whole paths, which every version of transformers compares from the start (version 5 as
 * regular expressions that match prefixes, so that a path must end where no longer number can follow).
 */
function skippedModules({ source, nameOf, vision }: ExportSource, format: ExportFormat): string[] {
  const kept = format.kind === 'bnb-4bit' ? format.kept : undefined;
  const linears = linearTensors(source, nameOf);
  const modules = ['lm_head', nameOf('lm_head'), nameOf('model.embed_tokens')];
  if (vision.length > 0) modules.push('vision_model', 'multi_modal_projector');
  for (const { name } of source.tensors.values()) {
    const router = /^blk\.(\d+)\.ffn_gate_inp\.weight$/.exec(name);
    if (router) modules.push(nameOf(`model.layers.${router[1]}.feed_forward.router`));
    if (kept?.has(name)) modules.push(...linears.get(name)!.modules);
  }
  return [...new Set(modules)];
}
