import { basename } from 'node:path';
import { CriaError } from '../../base/errors.js';
import { openModel } from '../../convert/open-model.js';
import { imatrixMetadata } from '../../dynamic/imatrix-of-model.js';
import { layoutOutput, type QuantizeOptions, quantizeModel } from '../../dynamic/quantize.js';
import { GgufFile } from '../../formats/gguf/index.js';
import { readImatrix } from '../../formats/imatrix/index.js';
import type { TensorSource } from '../../formats/tensor-source.js';
import { byteSize, integer, text, texts, toggle } from '../options.js';
import { choosePlan, type PlanValues, renderPlan, reportNotes } from '../quantize-plan.js';
import { defineVerb, type Terminal } from '../verb.js';
import { withProgress } from '../work-progress.js';

export const quantize = defineVerb({
  name: 'quantize',
  summary: 'Write a model in fewer bits per weight',
  details:
    'One of --type, --recipe and --plan says which types the weights get; norms and the router stay as they are. When it is stopped, the same command goes on from there.',
  positionals: [
    { name: 'INPUT', help: 'a checkpoint folder, a GGUF file, or the first part of a split one' },
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
    const source = await openModel(input);
    try {
      await quantizeSource(terminal, source, output, values);
    } finally {
      await source.close();
    }
  },
});

interface QuantizeValues extends PlanValues {
  readonly imatrix: string | undefined;
  readonly splitMaxSize: number | undefined;
  readonly keepSplit: boolean;
  readonly dryRun: boolean;
  readonly json: boolean;
  readonly threads: number | undefined;
}

async function quantizeSource(
  terminal: Terminal,
  source: TensorSource,
  output: string | undefined,
  values: QuantizeValues,
): Promise<void> {
  const { splitMaxSize, threads } = values;
  const imatrix = values.imatrix === undefined ? undefined : await readImatrix(values.imatrix);
  const chosen = await choosePlan(source, values, imatrix);
  const options: QuantizeOptions = {
    plan: chosen.plan,
    fileType: chosen.fileType,
    imatrix,
    threads,
    metadata: imatrix && imatrixMetadata(basename(values.imatrix!), imatrix),
    splitMaxSize,
    tensorsPerFile: values.keepSplit ? tensorsPerFile(source, splitMaxSize) : undefined,
  };
  const layout = layoutOutput(source, output ?? 'OUTPUT.gguf', options);
  const bytes = layout.reduce((sum, file) => sum + file.bytes, 0);
  reportNotes(terminal, chosen);
  if (!values.dryRun) {
    const { signal } = terminal;
    const paths = await withProgress(terminal, { label: 'quantizing', unit: 'bytes' }, (onProgress) =>
      quantizeModel(source, output!, { ...options, onProgress, signal }),
    );
    if (!values.json) terminal.stdout.write(`${paths.join('\n')}\n`);
  }
  if (values.json || values.dryRun) terminal.stdout.write(renderPlan(source, chosen, bytes, values.json));
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
