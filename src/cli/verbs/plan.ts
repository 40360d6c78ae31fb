import { formatBytes, parseByteSize } from '../../base/byte-size.js';
import { CriaError } from '../../base/errors.js';
import type { PublishedModel } from '../../dynamic/published-models.js';
import { measureTower } from '../../generate/image-encoder.js';
import {
  adviseRungs,
  bestRung,
  criaMemory,
  llamaCppCommand,
  measureMemoryBandwidth,
  probeHardware,
  type Rung,
} from '../../plan/index.js';
import { FINETUNE_PLAN_OPTIONS } from '../finetune-plan.js';
import { showFinetunePlan } from '../finetune-plan-report.js';
import { byteSize, choice, integer, type OptionValues, text, texts, toggle } from '../options.js';
import { rungTable } from '../plan-report.js';
import { findPlannedModel, type PlannedModel } from '../planned-model.js';
import { defineVerb } from '../verb.js';

/** What the system and other programs keep of the main memory. */
const SYSTEM_BYTES = 2e9;
/** Where a machine is only described: two channels of DDR5, and a GPU of the class that has 24 GB. */
const USUAL_RAM_BANDWIDTH = 60e9;
const USUAL_VRAM_BANDWIDTH = 900e9;

/** Tokens of context, and of a row of `cria finetune`. */
const USUAL_CONTEXT = 8192;
const USUAL_ROW = 1024;

const OPTIONS = {
  vram: texts(['--vram'], 'SIZE', {
    help: 'memory of a GPU, as 24GB, or of several, as 2x48GB; may be given several times (default: what is here)',
  }),
  ram: byteSize(['--ram'], { help: 'main memory (default: that of this machine)' }),
  contextSize: integer(['-c', '--ctx-size'], {
    initial: undefined,
    min: 1,
    help: `tokens of context (default ${USUAL_CONTEXT}, of a row of training ${USUAL_ROW})`,
  }),
  cacheTypeK: choice(['-ctk', '--cache-type-k'], ['f16', 'q8_0', 'f32'], {
    initial: 'f16',
    help: 'format of cached keys',
  }),
  cacheTypeV: choice(['-ctv', '--cache-type-v'], ['f16', 'q8_0', 'f32'], {
    initial: 'f16',
    help: 'format of cached values',
  }),
  mmproj: text(['-mm', '--mmproj'], 'FILE', { help: 'vision tower, to be counted as well' }),
  threads: integer(['-t', '--threads'], {
    initial: undefined,
    min: 1,
    max: 512,
    help: 'threads (default: one per processor core)',
  }),
  ramBandwidth: byteSize(['--ram-bandwidth'], {
    help: 'bytes main memory gives in a second (default: measured here; 60GB for another machine)',
  }),
  vramBandwidth: byteSize(['--vram-bandwidth'], { help: 'bytes a GPU reads in a second (default 900GB)' }),
  json: toggle(['--json'], { help: 'print JSON' }),
  ...FINETUNE_PLAN_OPTIONS,
};
type Values = OptionValues<typeof OPTIONS>;

export const plan = defineVerb({
  name: 'plan',
  summary: 'Show which size of a model fits a machine, and how fast it will be',
  details:
    'Speeds follow from the bytes that one token reads and how fast the memory gives them: they are upper bounds for one text at a time. A GPU is used by the llama.cpp command that is printed; Cria itself computes on the processor.',
  positionals: [
    {
      name: 'MODEL',
      optional: true,
      help: 'scout (the default), maverick, a GGUF file or a checkpoint folder',
    },
  ],
  examples: [
    'cria plan',
    'cria plan maverick --vram 2x48GB --ram 128GB',
    'cria plan scout.gguf -c 131072 --json',
    'cria plan scout --finetune --lora-r 8 --batch-size 1 --ctx-size 2048',
  ],
  options: OPTIONS,
  run: async (terminal, { positionals: [name = 'scout'], values }) => {
    const model = await findPlannedModel(name);
    const { contextSize = values.finetune ? USUAL_ROW : USUAL_CONTEXT } = values;
    if (contextSize > model.config.contextLength) {
      const message = `--ctx-size expects at most ${model.config.contextLength}, the model's limit, found ${contextSize}`;
      throw new CriaError('usage', 'bad-value', message);
    }
    if (values.finetune)
      return showFinetunePlan(terminal, name, model, { ...values, contextSize }, SYSTEM_BYTES);
    const machine = await describeMachine(values);
    const { mmproj } = values;
    const tower = mmproj
      ? await measureTower(mmproj, model.config.embeddingLength, machine.threads)
      : { weights: 0, memory: 0 };
    const rungs = adviseRungs(
      model.sizes.map((size) => ({
        ...size,
        criaBytes:
          tower.memory +
          criaMemory(model.config, new Map(size.tensors.map((info) => [info.name, info])), {
            threads: machine.threads,
            batchSize: Math.min(512, contextSize),
            contextSize,
            cacheType: { keys: values.cacheTypeK, values: values.cacheTypeV },
          }),
      })),
      {
        config: model.config,
        contextSize,
        cacheTypes: { k: values.cacheTypeK, v: values.cacheTypeV },
        memory: { ram: Math.max(0, machine.ram - SYSTEM_BYTES), vram: machine.vram },
        towerBytes: tower.weights,
        bandwidth: machine.bandwidth,
      },
    );
    const best = bestRung(rungs);
    const commands = best && commandsFor(best, name, model, machine, { ...values, contextSize });
    if (values.json) {
      terminal.stdout.write(
        `${JSON.stringify({ machine, contextSize, rungs, best: best?.name, commands }, null, 1)}\n`,
      );
      return;
    }
    const cache = `cache ${values.cacheTypeK}/${values.cacheTypeV}`;
    const lines = [
      `${machine.text}\n${name}, ${contextSize} tokens of context, ${cache}\n`,
      ...rungTable(rungs, machine.vram.length > 0),
      '',
      ...(commands ?? [
        `nothing fits: a smaller context may, or cria run with --cache-experts, which reads experts from disk`,
      ]),
    ];
    terminal.stdout.write(`${lines.join('\n')}\n`);
  },
});

interface Machine {
  readonly text: string;
  readonly ram: number;
  readonly vram: readonly number[];
  readonly threads: number;
  readonly bandwidth: { readonly ram: number; readonly vram: readonly number[] };
}

async function describeMachine(values: Values): Promise<Machine> {
  const here = await probeHardware();
  const isHere = values.ram === undefined;
  const vram =
    values.vram.length > 0
      ? values.vram.flatMap(parseGpus)
      : isHere
        ? here.gpus.map(({ bytes }) => bytes)
        : [];
  const threads = values.threads ?? here.threads;
  const ram = values.ram ?? here.ramBytes;
  const measured = isHere && values.ramBandwidth === undefined;
  const bandwidth =
    values.ramBandwidth ?? (isHere ? await measureMemoryBandwidth(threads) : USUAL_RAM_BANDWIDTH);
  const how = measured ? 'measured' : values.ramBandwidth === undefined ? 'assumed' : 'given';
  const gpus = vram.length === 0 ? 'no GPU' : `GPU ${vram.map(formatBytes).join(' + ')}`;
  return {
    text: `${formatBytes(ram)} of memory at ${formatBytes(bandwidth)}/s (${how}), ${threads} threads, ${gpus}`,
    ram,
    vram,
    threads,
    bandwidth: { ram: bandwidth, vram: vram.map(() => values.vramBandwidth ?? USUAL_VRAM_BANDWIDTH) },
  };
}

/** `24GB`, or several at once: `2x48GB`. */
function parseGpus(text: string): number[] {
  const [, count = '1', size = ''] = /^(?:(\d{1,2})x)?(.+)$/i.exec(text) ?? [];
  return new Array<number>(Number(count)).fill(parseByteSize(size));
}

function commandsFor(
  best: Rung,
  name: string,
  { config, published }: PlannedModel,
  machine: Machine,
  { contextSize, cacheTypeK, cacheTypeV, mmproj }: Values & { contextSize: number },
): string[] {
  const lines = [`Best: ${best.name}, the largest that fits.`];
  const size = published ? `${published}:${best.name}` : name;
  const flags = [
    cacheTypeK === 'f16' ? '' : ` -ctk ${cacheTypeK}`,
    cacheTypeV === 'f16' ? '' : ` -ctv ${cacheTypeV}`,
    mmproj === undefined ? '' : ` --mmproj ${mmproj}`,
  ];
  const quantize = !published && best.name !== 'as it is';
  const file = quantize ? `${best.name}.gguf` : size;
  if (published) lines.push(`  cria pull ${size}`);
  if (quantize) lines.push(`  cria quantize ${name} -o ${file} --recipe ${best.name} --imatrix imatrix.gguf`);
  if (best.cria.fits) lines.push(`  cria run ${file} -c ${contextSize}${flags.join('')}`);
  if (best.fits) {
    lines.push(
      `  ${llamaCppCommand({
        model: published ? `-hf ${HUB_REPOS[published]}:${best.name}` : `-m ${file}`,
        mmproj,
        contextSize,
        threads: machine.threads,
        cacheTypes: { k: cacheTypeK, v: cacheTypeV },
        placement: best.placement,
        layers: config.layerCount,
      })}`,
    );
  }
  return lines;
}

const HUB_REPOS: Readonly<Record<PublishedModel, string>> = {
  scout: 'unsloth/Llama-4-Scout-17B-16E-Instruct-GGUF',
  maverick: 'unsloth/Llama-4-Maverick-17B-128E-Instruct-GGUF',
};
