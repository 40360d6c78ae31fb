import { createRequire } from 'node:module';
import { formatBytes } from '../../base/byte-size.js';
import { CriaError } from '../../base/errors.js';
import {
  type ExportFormat,
  type ExportModelOptions,
  exportBytes,
  exportModel,
  roundedTensors,
} from '../../convert/export/export-model.js';
import { type ExportSource, openExportSource } from '../../convert/export/export-source.js';
import { DEFAULT_GROWTH, type FourBitPlan, fourBitErrors, planFourBit } from '../../dynamic/four-bit.js';
import { entriesOfModel } from '../../dynamic/imatrix-of-model.js';
import { filesIdentity, inputFiles } from '../../dynamic/input-files.js';
import { readImatrix } from '../../formats/imatrix/index.js';
import { textTable } from '../../formats/text-table.js';
import { measureOnTexts } from '../measured-plan.js';
import { modelPath } from '../model-argument.js';
import { byteSize, choice, integer, text, texts, toggle } from '../options.js';
import { defineVerb, type Terminal } from '../verb.js';
import { withProgress } from '../work-progress.js';

export const exportVerb = defineVerb({
  name: 'export',
  summary: 'Write a checkpoint for transformers and vLLM, in 16, 8 or 4 bits',
  details:
    "bnb-4bit and bnb-8bit are the forms of bitsandbytes. In 4 bits, modules whose rounding moves the model's predictions most stay in 16 bits, within a size: this is measured on calibration text (-f), unless --plain asks for 4 bits throughout. Vision tower, routers, embeddings and output always stay. When it is stopped, the same command goes on from there.",
  positionals: [{ name: 'MODEL', help: 'a checkpoint folder, or a GGUF file of 16-bit or 32-bit tensors' }],
  examples: [
    'cria export Llama-4-Scout-17B-16E-Instruct --format bnb-4bit -f calibration.txt -o scout-bnb-4bit',
    'cria export Llama-4-Scout-17B-16E-Instruct --format bnb-4bit --plain -o scout-bnb-4bit',
  ],
  options: {
    format: choice(['--format'], ['bnb-4bit', 'bnb-8bit', 'safetensors'], {
      initial: undefined,
      help: 'form of the weights; required',
    }),
    output: text(['-o', '--output'], 'DIR', { help: 'the folder to write; required without --dry-run' }),
    experts: choice(['--experts'], ['linear', 'fused'], {
      initial: undefined,
      help: 'linear: each expert has linear layers of its own, as transformers 4 and vLLM need to quantize them; fused: experts stay in 16 bits and as they are, for transformers 5 (default: fused for safetensors only)',
    }),
    mmproj: text(['-mm', '--mmproj'], 'FILE', {
      help: 'the vision tower of a GGUF model, to be written as well',
    }),
    maxShardSize: byteSize(['--max-shard-size'], {
      help: 'write files with at most so much tensor data, such as 2G (default 5 GB)',
    }),
    quantType: choice(['--bnb-4bit-quant-type'], ['nf4', 'fp4'], {
      initial: 'nf4',
      help: 'the 16 values of 4 bits',
      group: '4 bits',
    }),
    noDoubleQuant: toggle(['--no-double-quant'], {
      help: 'keep scales in 32 bits (0.37 bits more per weight)',
      group: '4 bits',
    }),
    plain: toggle(['--plain'], { help: 'every linear layer in 4 bits, nothing measured', group: '4 bits' }),
    targetSize: byteSize(['--target-size'], {
      help: 'largest size of all tensors (default: a tenth more than --plain)',
      group: '4 bits',
    }),
    files: texts(['-f', '--file'], 'FILE', {
      help: 'calibration text to measure on (or .jsonl chats); not text to evaluate on later',
      group: '4 bits',
    }),
    chunks: integer(['--chunks'], {
      initial: 8,
      min: 1,
      help: 'windows of 512 tokens of the calibration text to measure on',
      group: '4 bits',
    }),
    imatrix: text(['--imatrix'], 'FILE', {
      help: "importance of each weight, from 'cria calibrate', to weigh errors by",
      group: '4 bits',
    }),
    dryRun: toggle(['--dry-run'], { help: 'only show what stays in 16 bits, and the size', group: '4 bits' }),
    json: toggle(['--json'], { help: 'print the choice as one JSON object', group: '4 bits' }),
    threads: integer(['-t', '--threads'], {
      initial: undefined,
      min: 1,
      max: 512,
      help: 'threads that measure (default: one per processor core)',
    }),
  },
  run: async (terminal, { positionals: [input = ''], values, given }) => {
    const { format, output, dryRun } = values;
    if (format === undefined) {
      throw new CriaError('usage', 'missing-argument', 'missing form: expected --format FORM');
    }
    if (output === undefined && !dryRun) {
      throw new CriaError('usage', 'missing-argument', 'missing output: expected -o DIR, or --dry-run');
    }
    checkFourBitOptions(format, values, given);
    const model = await openExportSource(await modelPath(input), values.mmproj);
    try {
      const chosen = await chooseFormat(terminal, model, { ...values, format });
      const { maxShardSize } = values;
      const options: ExportModelOptions = { format: chosen.format, experts: chosen.experts, maxShardSize };
      const bytes = exportBytes(model, options);
      let paths: string[] = [];
      if (!dryRun) {
        const { signal } = terminal;
        const resumeKey = await keyOf(model, options);
        paths = await withProgress(terminal, { label: 'exporting', unit: 'bytes' }, (onProgress) =>
          exportModel(model, output!, { ...options, onProgress, signal, resumeKey }),
        );
      }
      if (values.json) terminal.stdout.write(planJson(chosen.plan, bytes));
      else terminal.stdout.write(dryRun ? planText(chosen.plan, bytes) : `${paths.join('\n')}\n`);
    } finally {
      await model.close();
    }
  },
});

/** Changes with all that decides the bytes of an export: input, choices, and the version of the encoders. */
async function keyOf(
  { source, config }: ExportSource,
  { format, experts }: ExportModelOptions,
): Promise<string> {
  const { version } = createRequire(import.meta.url)('../../../package.json') as { version: string };
  const kept = format.kind === 'bnb-4bit' ? [...(format.kept ?? [])] : [];
  const inputs = await filesIdentity(await inputFiles(source));
  return JSON.stringify([version, inputs, config, format, kept, experts]);
}

interface Values {
  readonly format: 'bnb-4bit' | 'bnb-8bit' | 'safetensors';
  readonly experts: 'linear' | 'fused' | undefined;
  readonly quantType: 'nf4' | 'fp4';
  readonly noDoubleQuant: boolean;
  readonly plain: boolean;
  readonly targetSize: number | undefined;
  readonly files: readonly string[];
  readonly chunks: number;
  readonly imatrix: string | undefined;
  readonly threads: number | undefined;
}

const FOUR_BIT_ONLY = ['quantType', 'noDoubleQuant', 'plain', 'targetSize', 'files', 'imatrix'] as const;

function checkFourBitOptions(
  format: Values['format'],
  { plain, files }: Pick<Values, 'plain' | 'files'>,
  given: ReadonlySet<string>,
): void {
  const fourBit = FOUR_BIT_ONLY.find((name) => given.has(name));
  if (format !== 'bnb-4bit' && fourBit) {
    throw new CriaError(
      'usage',
      'unexpected-option',
      `options of 4 bits need --format bnb-4bit, found ${format}`,
    );
  }
  if (plain && (given.has('targetSize') || given.has('files') || given.has('imatrix'))) {
    const message = '--plain excludes --target-size, -f and --imatrix: it measures nothing';
    throw new CriaError('usage', 'unexpected-option', message);
  }
  if (format === 'bnb-4bit' && !plain && files.length === 0) {
    const message =
      'missing calibration text: expected -f FILE, to measure which modules stay in 16 bits, or --plain';
    throw new CriaError('usage', 'missing-argument', message);
  }
}

interface ChosenFormat {
  readonly format: ExportFormat;
  readonly experts: 'linear' | 'fused';
  /** Of a dynamic export. */
  readonly plan?: FourBitPlan;
}

async function chooseFormat(terminal: Terminal, model: ExportSource, values: Values): Promise<ChosenFormat> {
  const { format: kind, quantType, plain } = values;
  const experts = values.experts ?? (kind === 'safetensors' ? 'fused' : 'linear');
  if (kind !== 'bnb-4bit') return { format: { kind }, experts };
  const format = { kind, quantType, doubleQuantization: !values.noDoubleQuant };
  if (plain) return { format, experts };

  const { source } = model;
  const imatrix = values.imatrix === undefined ? undefined : await readImatrix(values.imatrix);
  const importance = imatrix && entriesOfModel(imatrix, source.tensors.values());
  const items = roundedTensors(model, experts, format);
  const tensors = items.map(({ name }) => source.tensors.get(name)!);
  const { measurements } = await measureOnTexts(terminal, source, values, {
    imatrix,
    only: new Set(items.map(({ name }) => name)),
    // The errors of these types are not asked for; one has to be named.
    candidates: { types: ['Q8_0'] },
  });
  const errors = await fourBitErrors(source, tensors, quantType, importance);
  const plainBytes = exportBytes(model, { format, experts });
  const rounded = items.reduce((sum, { roundedBytes }) => sum + roundedBytes, 0);
  const target = values.targetSize ?? Math.floor(plainBytes * DEFAULT_GROWTH);
  if (target < plainBytes) {
    const message = `expected --target-size of at least ${plainBytes} bytes (${formatBytes(plainBytes)}), 4 bits throughout; found ${target}`;
    throw new CriaError('usage', 'budget-too-small', message);
  }
  const plan = planFourBit(items, measurements, errors, target - (plainBytes - rounded));
  return { format: { ...format, kept: plan.kept }, experts, plan };
}

function planJson(plan: FourBitPlan | undefined, bytes: number): string {
  const { plainKld, predictedKld, decisions } = plan ?? {};
  return `${JSON.stringify({ bytes, plainKld, predictedKld, tensors: decisions }, null, 1)}\n`;
}

function planText(plan: FourBitPlan | undefined, bytes: number): string {
  const total = `${formatBytes(bytes)} (${bytes} bytes)`;
  if (!plan) return `${total}\n`;
  const kept = plan.decisions.filter((decision) => decision.kept).sort((a, b) => b.damage - a.damage);
  const rows = kept.map(({ name, error, damage, keptBytes, roundedBytes }) => [
    name,
    `${(100 * error).toFixed(3)}%`,
    damage.toFixed(5),
    formatBytes(keptBytes - roundedBytes),
  ]);
  return [
    ...textTable([['in 16 bits', 'error in 4', 'divergence', 'costs'], ...rows]),
    `predicted divergence ${plan.predictedKld.toFixed(5)} nats, ${plan.plainKld.toFixed(5)} in 4 bits throughout`,
    total,
    '',
  ].join('\n');
}
