import { SCHEDULES } from '../train/schedule.js';
import { choice, decimal, integer, type Option, onOff, text, texts, toggle } from './options.js';
import { THREADS } from './shared-options.js';

const DATA = 'Data';
const ADAPTERS = 'What trains';
const STEPS = 'Steps';
const SIZE = 'Batches and memory';
const RUN = 'The run';

/** Several values, by commas or by giving the flag again. */
function list(flags: readonly string[], placeholder: string, help: string): Option<readonly string[]> {
  return {
    flags,
    placeholder,
    help,
    group: ADAPTERS,
    initial: [],
    // A regular expression may have commas of its own.
    accept: (value, _flag, previous) => [
      ...previous,
      ...(/^[\w.,-]+$/.test(value) ? value.split(',').filter(Boolean) : [value]),
    ],
  };
}

/** Names are PEFT's, TRL's and transformers'; reasons for defaults stand beside them. */
export const FINETUNE_OPTIONS = {
  data: texts(['--data'], 'FILE', {
    group: DATA,
    help: 'rows to train on: JSONL or Parquet with messages, prompt and completion, text, or chosen and rejected; or plain text; required, may be given several times',
  }),
  output: text(['-o', '--output'], 'DIR', { group: DATA, help: 'the folder to write; required' }),
  evalData: texts(['--eval-data'], 'FILE', {
    group: DATA,
    help: 'rows to evaluate on, that are not trained on',
  }),
  evalSplit: decimal(['--eval-split'], {
    group: DATA,
    initial: undefined,
    min: 0,
    max: 0.999,
    help: 'share of the rows of --data to evaluate on instead, such as 0.05',
  }),
  responsesOnly: onOff(['--train-on-responses-only'], ['--no-train-on-responses-only'], {
    group: DATA,
    help: "learn the assistant's turns and completions only, and read the rest (default: on, so that no weight goes to imitating users)",
  }),
  promptsAsChat: toggle(['--prompts-as-chat'], {
    group: DATA,
    help: 'lay prompt and completion out as turns of a chat',
  }),
  overlong: choice(['--overlong'], ['refuse', 'skip', 'truncate'], {
    group: DATA,
    initial: 'refuse',
    help: 'rows with more tokens than --ctx-size',
  }),
  textUnit: choice(['--text-unit'], ['file', 'paragraph'], {
    group: DATA,
    initial: 'file',
    help: 'plain text: a document is a whole file, or what stands between blank lines',
  }),
  maxBadRows: integer(['--max-bad-rows'], {
    group: DATA,
    initial: 100,
    min: 0,
    help: 'rows that cannot be used and are left out; one more ends the command, 0 accepts none',
  }),
  mmproj: text(['-mm', '--mmproj'], 'FILE', {
    group: DATA,
    help: 'the vision tower of a GGUF model, for rows with pictures (a checkpoint folder has its own)',
  }),

  method: choice(['--method'], ['sft', 'dpo'], {
    group: ADAPTERS,
    initial: 'sft',
    help: 'learn answers, or to prefer chosen answers to rejected ones',
  }),
  beta: decimal(['--beta'], {
    group: ADAPTERS,
    initial: 0.1,
    min: 0,
    help: 'dpo: how much going away from the base costs',
  }),
  rank: integer(['--lora-r', '--rank'], {
    group: ADAPTERS,
    initial: 16,
    min: 1,
    max: 16384,
    help: 'rank of adapters: more can learn more, and takes more memory',
  }),
  alpha: decimal(['--lora-alpha'], {
    group: ADAPTERS,
    initial: undefined,
    min: 0,
    help: 'adapters count alpha / rank times (default: twice the rank)',
  }),
  dropout: decimal(['--lora-dropout'], {
    group: ADAPTERS,
    initial: undefined,
    min: 0,
    max: 0.99,
    help: 'share of inputs that adapters do not see, against learning few rows by heart (default 0)',
  }),
  rsLora: toggle(['--use-rslora'], {
    group: ADAPTERS,
    help: 'alpha / √rank instead, which keeps large ranks learning',
  }),
  targetModules: list(
    ['--target-modules'],
    'NAMES',
    'modules with adapters: ends of their names, one regular expression for whole names, or all-linear (default: all-linear, which is every linear layer but routers and output; leaving some out learns less than a smaller rank)',
  ),
  targetParameters: list(
    ['--target-parameters'],
    'NAMES',
    'parameters of routed experts with adapters, such as experts.gate_up_proj,experts.down_proj',
  ),
  experts: toggle(['--experts'], { group: ADAPTERS, help: 'both of these, beside the modules' }),
  trainRouter: toggle(['--train-router'], { group: ADAPTERS, help: 'adapters for the routers as well' }),
  full: toggle(['--full'], { group: ADAPTERS, help: 'train every weight: for small models' }),
  fromScratch: toggle(['--from-scratch'], {
    group: ADAPTERS,
    help: 'with --full: forget the weights and begin with random ones',
  }),

  epochs: decimal(['--epochs', '--num-train-epochs'], {
    group: STEPS,
    initial: 3,
    min: 0.0001,
    help: 'passes over the data',
  }),
  maxSteps: integer(['--max-steps'], {
    group: STEPS,
    initial: undefined,
    min: 1,
    help: 'steps, instead of --epochs',
  }),
  learningRate: decimal(['--learning-rate', '--lr'], {
    group: STEPS,
    initial: undefined,
    min: 0,
    help: 'the highest learning rate (default: 2e-4 for adapters, 2e-5 with --full, 1e-3 from scratch; a tenth of that for dpo)',
  }),
  schedule: choice(['--lr-scheduler-type'], SCHEDULES, {
    group: STEPS,
    initial: 'cosine',
    help: 'how it falls',
  }),
  warmupSteps: integer(['--warmup-steps'], {
    group: STEPS,
    initial: undefined,
    min: 0,
    help: 'steps over which it rises first',
  }),
  warmupRatio: decimal(['--warmup-ratio'], {
    group: STEPS,
    initial: 0.03,
    min: 0,
    max: 1,
    help: 'the same as a share of all steps',
  }),
  optimizer: choice(['--optim'], ['adamw', 'adamw_8bit'], {
    group: STEPS,
    initial: 'adamw',
    help: 'adamw_8bit keeps its state in a quarter of the memory',
  }),
  beta1: decimal(['--adam-beta1'], { group: STEPS, initial: 0.9, min: 0, max: 0.99999, help: 'of AdamW' }),
  beta2: decimal(['--adam-beta2'], {
    group: STEPS,
    initial: 0.999,
    min: 0,
    max: 0.9999999,
    help: 'of AdamW',
  }),
  epsilon: decimal(['--adam-epsilon'], { group: STEPS, initial: 1e-8, min: 0, help: 'of AdamW' }),
  weightDecay: decimal(['--weight-decay'], {
    group: STEPS,
    initial: 0,
    min: 0,
    help: 'of AdamW; norms do not decay',
  }),
  maxGradNorm: decimal(['--max-grad-norm'], {
    group: STEPS,
    initial: 1,
    min: 0,
    help: 'gradients longer than this are shortened to it, so that one odd row cannot undo much; 0: not',
  }),
  routerAuxLossCoef: decimal(['--router-aux-loss-coef'], {
    group: STEPS,
    initial: undefined,
    min: 0,
    help: 'weight of the loss that keeps experts evenly used (default: 0.001 where routers train, otherwise 0)',
  }),

  batchSize: integer(['--batch-size', '--per-device-train-batch-size'], {
    group: SIZE,
    initial: 4,
    min: 1,
    max: 65536,
    help: 'rows that go through the model at once',
  }),
  gradientAccumulationSteps: integer(['--gradient-accumulation-steps'], {
    group: SIZE,
    initial: 1,
    min: 1,
    max: 65536,
    help: 'passes that make one step: larger batches without their memory',
  }),
  contextSize: integer(['-c', '--ctx-size', '--max-length'], {
    group: SIZE,
    initial: 1024,
    min: 2,
    max: 1048576,
    help: 'most tokens of a row; memory grows with it times --batch-size',
  }),
  packing: toggle(['--packing'], {
    group: SIZE,
    help: 'fill each pass with as many rows as there is room for; rows do not see each other',
  }),
  gradientCheckpointing: toggle(['--gradient-checkpointing'], {
    group: SIZE,
    help: 'compute layers a second time instead of keeping what they gave: a third slower, much less memory',
  }),
  threads: THREADS,

  evalSteps: integer(['--eval-steps'], {
    group: RUN,
    initial: undefined,
    min: 1,
    help: 'steps between evaluations (default: ten in a run)',
  }),
  earlyStoppingPatience: integer(['--early-stopping-patience'], {
    group: RUN,
    initial: undefined,
    min: 1,
    help: 'end after so many evaluations without a lower loss, and write the best state',
  }),
  saveSteps: integer(['--save-steps'], {
    group: RUN,
    initial: 100,
    min: 1,
    help: 'steps between checkpoints',
  }),
  saveTotalLimit: integer(['--save-total-limit'], {
    group: RUN,
    initial: 2,
    min: 1,
    help: 'checkpoints that are kept; the best one beside them',
  }),
  loggingSteps: integer(['--logging-steps'], {
    group: RUN,
    initial: 1,
    min: 1,
    help: 'steps that each line of progress and log stands for',
  }),
  seed: integer(['-s', '--seed'], {
    group: RUN,
    initial: 42,
    min: 0,
    max: 0xffffffff,
    help: 'of order, initial values and dropout: the same seed gives the same bytes',
  }),
  resume: toggle(['--resume', '--resume-from-checkpoint'], {
    group: RUN,
    help: 'go on from the newest checkpoint in -o, where there is one',
  }),
} as const;
