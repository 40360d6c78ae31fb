import { basename } from 'node:path';
import { CriaError } from '../../base/errors.js';
import { openModel } from '../../convert/open-model.js';
import { imatrixMetadata } from '../../dynamic/imatrix-of-model.js';
import { inputFiles } from '../../dynamic/input-files.js';
import { fileSha256, type Provenance, provenanceMetadata } from '../../dynamic/provenance.js';
import { layoutOutput, type QuantizeOptions, quantizeModel } from '../../dynamic/quantize.js';
import type { TypePlan } from '../../dynamic/type-plan.js';
import { GgufFile } from '../../formats/gguf/index.js';
import { readImatrix } from '../../formats/imatrix/index.js';
import type { TensorSource } from '../../formats/tensor-source.js';
import { modelPath } from '../model-argument.js';
import { byteSize, decimal, integer, text, texts, toggle } from '../options.js';
import { choosePlan, type PlanValues, renderPlan, reportNotes } from '../quantize-plan.js';
import { defineVerb, type Terminal } from '../verb.js';
import { withProgress } from '../work-progress.js';

export const quantize = defineVerb({
  name: 'quantize',
  summary: 'Write a model in fewer bits per weight',
  details:
    'Either types are named (--type, --recipe, --plan), or a size is (--target-size, --target-bpw, --fit-vram and --fit-ram): then it is measured, on calibration text, how the predictions answer to rounding each tensor, and every tensor gets the type that costs least within the size. Norms and the router stay as they are. When it is stopped, the same command goes on from there.',
  positionals: [
    { name: 'INPUT', help: 'a checkpoint folder, a GGUF file, or the first part of a split one' },
  ],
  examples: [
    'cria quantize scout-bf16.gguf -o scout.gguf --recipe UD-Q2_K_XL --imatrix imatrix.gguf',
    'cria quantize scout-bf16.gguf -o scout.gguf --target-size 33.8GB --imatrix imatrix.gguf -f calibration.txt',
    'cria quantize scout-bf16.gguf --type Q4_K_M --dry-run',
  ],
  options: {
    output: text(['-o', '--output'], 'FILE', { help: 'the GGUF file to write; required without --dry-run' }),
    type: text(['--type'], 'TYPE', {
      help: "one of llama.cpp's mixes, such as Q4_K_M, IQ2_XXS or Q8_0",
      group: 'Types',
    }),
    recipe: text(['--recipe'], 'NAME', {
      help: "a dynamic recipe, UD-IQ1_S to UD-Q4_K_XL, or a mix; 'cria recipes' lists them",
      group: 'Types',
    }),
    plan: text(['--plan'], 'FILE', {
      help: 'a type for each tensor, as --dry-run --json prints it',
      group: 'Types',
    }),
    tensorTypes: texts(['--tensor-type'], 'REGEX=TYPE', {
      help: 'type of the weights whose names match; may be given several times, the first match counts',
      group: 'Types',
    }),
    outputType: text(['--output-tensor-type'], 'TYPE', { help: 'type of output.weight', group: 'Types' }),
    tokenEmbeddingType: text(['--token-embedding-type'], 'TYPE', {
      help: 'type of token_embd.weight',
      group: 'Types',
    }),
    pure: toggle(['--pure'], { help: 'every weight matrix in the one type of the mix', group: 'Types' }),
    targetSize: byteSize(['--target-size'], {
      help: 'largest size of the output, such as 33.8GB',
      group: 'Size',
    }),
    targetBpw: decimal(['--target-bpw'], {
      initial: undefined,
      min: 0.5,
      max: 32,
      help: 'bits per weight on average, headers not counted',
      group: 'Size',
    }),
    fitVram: byteSize(['--fit-vram'], {
      help: 'as large as fits this much GPU memory, together with --fit-ram',
      group: 'Size',
    }),
    fitRam: byteSize(['--fit-ram'], { help: 'main memory to fit, beside the GPU or alone', group: 'Size' }),
    files: texts(['-f', '--file'], 'FILE', {
      help: 'calibration text to measure on (or .jsonl chats); not text to evaluate on later',
      group: 'Size',
    }),
    chunks: integer(['--chunks'], {
      initial: 8,
      min: 1,
      help: 'windows of 512 tokens of the calibration text to measure on',
      group: 'Size',
    }),
    imatrix: text(['--imatrix'], 'FILE', {
      help: "importance of each weight, from 'cria calibrate' or llama-imatrix",
    }),
    splitMaxSize: byteSize(['--split-max-size'], {
      help: 'write files with at most so much tensor data, such as 40G',
    }),
    keepSplit: toggle(['--keep-split'], { help: 'divide the output into files as the input is' }),
    dryRun: toggle(['--dry-run'], { help: 'only show the types and the size of the output' }),
    json: toggle(['--json'], { help: 'print the plan as one JSON object' }),
    threads: integer(['-t', '--threads'], {
      initial: undefined,
      min: 1,
      max: 512,
      help: 'encoding threads (default: one per processor core)',
    }),
  },
  run: async (terminal, { positionals: [input = ''], values }) => {
    const { output, dryRun } = values;
    if (output === undefined && !dryRun) {
      throw new CriaError('usage', 'missing-argument', 'missing output: expected -o FILE, or --dry-run');
    }
    const source = await openModel(await modelPath(input));
    try {
      await quantizeSource(terminal, source, output, values);
    } finally {
      await source.close();
    }
  },
});

interface QuantizeValues extends PlanValues {
  readonly splitMaxSize: number | undefined;
  readonly keepSplit: boolean;
  readonly dryRun: boolean;
  readonly json: boolean;
}

async function quantizeSource(
  terminal: Terminal,
  source: TensorSource,
  output: string | undefined,
  values: QuantizeValues,
): Promise<void> {
  const { splitMaxSize, threads } = values;
  const imatrix = values.imatrix === undefined ? undefined : await readImatrix(values.imatrix);
  const inputs = await inputFiles(source);
  const name = output ?? 'OUTPUT.gguf';
  const optionsFor = (plan: TypePlan, fileType: number, provenance: Provenance): QuantizeOptions => ({
    plan,
    fileType,
    imatrix,
    threads,
    metadata: new Map([
      ...(imatrix ? imatrixMetadata(basename(values.imatrix!), imatrix) : []),
      ...provenanceMetadata(provenance),
    ]),
    splitMaxSize,
    tensorsPerFile: values.keepSplit ? tensorsPerFile(source, splitMaxSize) : undefined,
  });
  const sizeOf = (options: QuantizeOptions) =>
    layoutOutput(source, name, options).reduce((sum, file) => sum + file.bytes, 0);

  // Checksums are as long before they are known, and a plan needs only the size of the header.
  const unknown = '0'.repeat(64);
  const sums = {
    imatrixSha256: imatrix && unknown,
    inputSha256: inputs.map((path) => `${basename(path)} ${unknown}`),
  };
  const textSha256 = values.files.map(() => unknown);
  const chosen = await choosePlan(terminal, source, values, {
    imatrix,
    fileBytes: (plan, tensors) =>
      sizeOf(optionsFor(plan, 0, { request: targetText(values), tensors, textSha256, ...sums })),
  });
  const { measured } = chosen;
  const provenance: Provenance = {
    request: measured ? targetText(values) : chosen.recipe,
    tensors: measured?.tensors,
    textSha256: measured?.textSha256,
    ...sums,
  };
  const bytes = sizeOf(optionsFor(chosen.plan, chosen.fileType, provenance));
  reportNotes(terminal, chosen);
  if (!values.dryRun) {
    const { signal } = terminal;
    const known = await checksums(terminal, values.imatrix, inputs);
    const options = optionsFor(chosen.plan, chosen.fileType, { ...provenance, ...known });
    const paths = await withProgress(terminal, { label: 'quantizing', unit: 'bytes' }, (onProgress) =>
      quantizeModel(source, output!, { ...options, onProgress, signal }),
    );
    if (!values.json) terminal.stdout.write(`${paths.join('\n')}\n`);
  }
  if (values.json || values.dryRun) terminal.stdout.write(renderPlan(source, chosen, bytes, values.json));
}

/** The size that was asked for, for the file to tell. */
function targetText({ targetSize, targetBpw, fitVram, fitRam }: QuantizeValues): string {
  if (targetSize !== undefined) return `${targetSize} bytes`;
  if (targetBpw !== undefined) return `${targetBpw} bits per weight`;
  return `${fitVram ?? 0} bytes of VRAM and ${fitRam ?? 0} of RAM`;
}

async function checksums(
  terminal: Terminal,
  imatrix: string | undefined,
  inputs: readonly string[],
): Promise<Pick<Provenance, 'imatrixSha256' | 'inputSha256'>> {
  const { signal } = terminal;
  return withProgress(terminal, { label: 'checksums', unit: 'items' }, async (report) => {
    const inputSha256: string[] = [];
    for (const path of inputs) {
      report(inputSha256.length, inputs.length);
      inputSha256.push(`${basename(path)} ${await fileSha256(path, signal)}`);
    }
    return {
      inputSha256,
      imatrixSha256: imatrix === undefined ? undefined : await fileSha256(imatrix, signal),
    };
  });
}

function tensorsPerFile(source: TensorSource, splitMaxSize: number | undefined): number[] {
  if (splitMaxSize !== undefined) {
    throw new CriaError('usage', 'unexpected-option', '--keep-split and --split-max-size exclude each other');
  }
  if (!(source instanceof GgufFile)) {
    throw new CriaError(
      'usage',
      'unexpected-option',
      `--keep-split needs a GGUF file as INPUT, found the checkpoint folder '${source.path}'`,
    );
  }
  return source.parts.map((part) => part.tensorCount);
}
