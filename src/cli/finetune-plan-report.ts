import { formatBytes } from '../base/byte-size.js';
import { textTable } from '../formats/text-table.js';
import { probeHardware } from '../plan/index.js';
import {
  bestFinetune,
  FINETUNE_PLAN_OPTIONS,
  type FinetunePlanRequest,
  type PlannedFinetune,
  planFinetune,
} from './finetune-plan.js';
import type { PlannedModel } from './planned-model.js';
import type { Terminal } from './verb.js';

const ACTIVATIONS_NOTE =
  'Activations have to fit one WebAssembly memory of 4.29 GB: with fewer rows at once (--batch-size), a step can still\nhave as many (--gradient-accumulation-steps).';

type Values = Omit<FinetunePlanRequest, 'threads'> & {
  readonly ram: number | undefined;
  readonly threads: number | undefined;
  readonly json: boolean;
};

/** Prints which ways to train which size of a model fit a machine of which the system keeps some memory. */
export async function showFinetunePlan(
  terminal: Terminal,
  name: string,
  model: PlannedModel,
  values: Values,
  systemBytes: number,
): Promise<void> {
  const here = await probeHardware();
  const { ram = here.ramBytes, threads = here.threads, contextSize, batchSize, optimizer, rank } = values;
  const plans = planFinetune(model, { ...values, threads }, Math.max(0, ram - systemBytes));
  const best = bestFinetune(plans);
  const commands = best && finetuneCommands(best, name, model, values);
  if (values.json) {
    const machine = { ram, threads };
    terminal.stdout.write(
      `${JSON.stringify({ machine, contextSize, batchSize, plans, best, commands }, null, 1)}\n`,
    );
    return;
  }
  const what = values.full ? 'every weight' : `LoRA of rank ${rank}`;
  const count = plans[0]!.values.toLocaleString('en');
  const lines = [
    `${formatBytes(ram)} of memory, ${threads} threads`,
    `${name}, ${what} (${count} values), ${batchSize} × ${contextSize} tokens, ${optimizer}\n`,
    ...finetuneTable(plans),
    '',
    ...(commands ?? ['nothing fits: smaller rows (-c), fewer of them (--batch-size) or LoRA may']),
    ...(plans.every(({ addressable }) => addressable) ? [] : [`\n${ACTIVATIONS_NOTE}`]),
  ];
  terminal.stdout.write(`${lines.join('\n')}\n`);
}

function finetuneCommands(
  best: PlannedFinetune,
  name: string,
  { published }: PlannedModel,
  values: Values,
): string[] {
  const isFile = published === undefined && (values.full || best.name === 'as it is');
  const pulled = published && (values.full ? published : `${published}:${best.name}`);
  const file = pulled ?? (isFile ? name : `${best.name}.gguf`);
  const flags = [
    values.full ? '--full' : '',
    values.full || values.rank === FINETUNE_PLAN_OPTIONS.rank.initial ? '' : `--lora-r ${values.rank}`,
    ...values.targetModules.map((module) => `--target-modules '${module}'`),
    ...values.targetParameters.map((parameter) => `--target-parameters ${parameter}`),
    values.experts ? '--experts' : '',
    values.trainRouter ? '--train-router' : '',
    values.method === 'sft' ? '' : `--method ${values.method}`,
    `--batch-size ${values.batchSize} --ctx-size ${values.contextSize}`,
    best.checkpointing ? '--gradient-checkpointing' : '',
    values.optimizer === 'adamw' ? '' : `--optim ${values.optimizer}`,
  ].filter((flag) => flag !== '');
  const how = best.checkpointing ? 'with gradient checkpointing' : 'without gradient checkpointing';
  return [
    `Best: ${best.name}, the largest that fits, ${how}.`,
    ...(pulled ? [`  cria pull ${file}`] : []),
    ...(published || isFile
      ? []
      : [`  cria quantize ${name} -o ${file} --recipe ${best.name} --imatrix imatrix.gguf`]),
    `  cria finetune ${file} --data data.jsonl -o adapter ${flags.join(' ')}`,
  ];
}

/** The plans as a table for people. */
function finetuneTable(plans: readonly PlannedFinetune[]): string[] {
  const rows = plans.map(({ name, checkpointing, memory, bytes, addressable, fits }) => [
    name,
    checkpointing ? 'yes' : 'no',
    ...[memory.weights, memory.parameters, memory.gradients, memory.optimizer, memory.activations, bytes].map(
      formatBytes,
    ),
    fits ? 'yes' : addressable ? 'no' : 'no (activations)',
  ]);
  const heads = [
    'BASE',
    'CHECKPOINTING',
    'WEIGHTS',
    'LEARNS',
    'GRADIENTS',
    'OPTIMIZER',
    'ACTIVATIONS',
    'ALL',
    'FITS',
  ];
  return textTable([heads, ...rows], [2, 3, 4, 5, 6, 7]);
}
