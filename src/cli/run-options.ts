import { DEFAULT_SAMPLING } from '../generate/sampling-options.js';
import { CACHE_EXPERTS } from './expert-cache.js';
import { LORA } from './lora-options.js';
import { choice, decimal, integer, onOff, text, texts, toggle, withoutEffect } from './options.js';
import { OUTPUT_FORM_OPTIONS } from './output-form.js';
import { PICTURE_OPTIONS } from './pictures.js';
import { PROMPT_CACHE_OPTIONS } from './prompt-cache.js';
import { FIT, REPACK } from './shared-options.js';
import { SPECULATION_OPTIONS } from './speculation.js';

const PROMPT = 'Prompt';
const SAMPLING = 'Sampling';
const ENGINE = 'Engine';
const IGNORED = 'Taken from llama.cpp command lines, without effect (Cria computes on the CPU)';

const ignored = (flags: readonly string[], placeholder: string | undefined, help: string) =>
  withoutEffect(flags, placeholder, { help, group: IGNORED });

/** Options of llama.cpp that ask for something Cria has no counterpart of; a command line with them still runs. */
export const IGNORED_OPTIONS = {
  gpuLayers: ignored(['-ngl', '--n-gpu-layers', '--gpu-layers'], 'N', 'layers on the GPU'),
  overrideTensor: ignored(['-ot', '--override-tensor'], 'PATTERN', 'device of single tensors'),
  cpuMoe: ignored(['-cmoe', '--cpu-moe'], undefined, 'experts on the CPU'),
  nCpuMoe: ignored(['-ncmoe', '--n-cpu-moe'], 'N', 'experts of the first layers on the CPU'),
  device: ignored(['-dev', '--device'], 'NAMES', 'devices to use'),
  splitMode: ignored(['-sm', '--split-mode'], 'MODE', 'how GPUs share the model'),
  tensorSplit: ignored(['-ts', '--tensor-split'], 'SHARES', 'shares of the GPUs'),
  mainGpu: ignored(['-mg', '--main-gpu'], 'N', 'main GPU'),
  flashAttention: ignored(['-fa', '--flash-attn'], 'on|off|auto', 'attention kernel'),
  microBatch: ignored(['-ub', '--ubatch-size'], 'N', 'physical batch size'),
  mlock: ignored(['--mlock'], undefined, 'keep the model in memory'),
  noMmap: ignored(['--no-mmap'], undefined, 'do not map the file'),
  priority: ignored(['--prio'], 'N', 'scheduling priority'),
  noWarmup: ignored(['--no-warmup'], undefined, 'no empty run first'),
} as const;

export const RUN_OPTIONS = {
  model: text(['-m', '--model'], 'MODEL', {
    group: PROMPT,
    help: 'the model, where it is not the first argument',
  }),
  prompt: text(['-p', '--prompt'], 'TEXT', {
    group: PROMPT,
    help: 'the prompt: one message to the model, which is answered before the program ends',
  }),
  file: text(['-f', '--file'], 'FILE', {
    group: PROMPT,
    help: 'read the prompt from a file (- for standard input)',
  }),
  system: text(['-sys', '--system-prompt'], 'TEXT', {
    group: PROMPT,
    help: "system prompt of the conversation; 'recommended' for one that suits everyday talk",
  }),
  systemFile: text(['-sysf', '--system-prompt-file'], 'FILE', {
    group: PROMPT,
    help: 'read the system prompt from a file',
  }),
  conversation: onOff(['-cnv', '--conversation'], ['-no-cnv', '--no-conversation'], {
    group: PROMPT,
    help: "chat, even from a pipe or after -p; or continue the prompt as it stands, without the model's template",
  }),
  singleTurn: toggle(['-st', '--single-turn'], { group: PROMPT, help: 'end after one answer' }),
  jinja: toggle(['--jinja'], { group: PROMPT, help: "use the model's own template (always so)" }),
  templateFile: text(['--chat-template-file'], 'FILE', {
    group: PROMPT,
    help: "Jinja template to use instead of the model's own",
  }),
  escape: onOff(['-e', '--escape'], ['--no-escape'], {
    group: PROMPT,
    help: 'read \\n, \\t, \\\\ and the like in -p, -sys and -r as escapes, or not (default: as escapes)',
  }),
  displayPrompt: onOff(['--display-prompt'], ['--no-display-prompt'], {
    group: PROMPT,
    help: 'with -no-cnv, write the prompt before its continuation, or not (default: write it)',
  }),
  special: toggle(['-sp', '--special'], { group: PROMPT, help: 'write special tokens, too' }),
  ...PICTURE_OPTIONS,
  predict: integer(['-n', '--predict', '--n-predict'], {
    group: SAMPLING,
    initial: -1,
    min: -2,
    help: 'tokens to write at most; below 0, until the model ends or the context is full',
  }),
  temperature: decimal(['--temp', '--temperature'], {
    group: SAMPLING,
    initial: DEFAULT_SAMPLING.temperature,
    min: 0,
    help: 'temperature; 0 always takes the likeliest token',
  }),
  topK: integer(['--top-k'], {
    group: SAMPLING,
    initial: DEFAULT_SAMPLING.topK,
    min: 0,
    help: 'sample from the N likeliest tokens; 0 from all',
  }),
  topP: decimal(['--top-p'], {
    group: SAMPLING,
    initial: DEFAULT_SAMPLING.topP,
    min: 0,
    max: 1,
    help: 'sample from the likeliest tokens that together have this probability',
  }),
  minP: decimal(['--min-p'], {
    group: SAMPLING,
    initial: DEFAULT_SAMPLING.minP,
    min: 0,
    max: 1,
    help: 'sample from tokens at least this likely, relative to the likeliest',
  }),
  repeatPenalty: decimal(['--repeat-penalty'], {
    group: SAMPLING,
    initial: DEFAULT_SAMPLING.repeatPenalty,
    min: 0.01,
    help: 'divide the logits of recent tokens by this; 1 is off',
  }),
  repeatLastN: integer(['--repeat-last-n'], {
    group: SAMPLING,
    initial: DEFAULT_SAMPLING.repeatLastN,
    min: -1,
    help: 'how many tokens count as recent; -1 for the whole context',
  }),
  presencePenalty: decimal(['--presence-penalty'], {
    group: SAMPLING,
    initial: DEFAULT_SAMPLING.presencePenalty,
    help: 'subtract this from the logit of every recent token',
  }),
  frequencyPenalty: decimal(['--frequency-penalty'], {
    group: SAMPLING,
    initial: DEFAULT_SAMPLING.frequencyPenalty,
    help: 'subtract this from the logit of a recent token for each time it occurred',
  }),
  seed: integer(['-s', '--seed'], {
    group: SAMPLING,
    initial: undefined,
    min: -1,
    max: 0xffffffff,
    help: 'the same seed gives the same text; -1 or none for another each time',
  }),
  ignoreEos: toggle(['--ignore-eos'], { group: SAMPLING, help: 'write on where the model would end' }),
  stop: texts(['-r', '--reverse-prompt'], 'TEXT', {
    group: SAMPLING,
    help: 'end before this text; may be given several times',
  }),
  threads: integer(['-t', '--threads'], {
    group: ENGINE,
    initial: undefined,
    min: -1,
    max: 512,
    help: 'worker threads (default: one per physical core)',
  }),
  contextSize: integer(['-c', '--ctx-size'], {
    group: ENGINE,
    initial: undefined,
    min: 0,
    help: "tokens that prompt and answer may have together; 0 is the model's own limit (default: that, at most 8192)",
  }),
  batchSize: integer(['-b', '--batch-size'], {
    group: ENGINE,
    initial: undefined,
    min: 1,
    max: 65536,
    help: 'prompt tokens computed at once',
  }),
  adapters: { ...LORA, group: ENGINE },
  repack: { ...REPACK, group: ENGINE },
  fit: { ...FIT, group: ENGINE },
  cacheExperts: { ...CACHE_EXPERTS, group: ENGINE },
  cacheTypeK: choice(['-ctk', '--cache-type-k'], ['f16', 'q8_0', 'f32'], {
    group: ENGINE,
    initial: undefined,
    help: "number format of the attention cache's keys; q8_0 takes half the memory of f16 (default f16)",
  }),
  cacheTypeV: choice(['-ctv', '--cache-type-v'], ['f16', 'q8_0', 'f32'], {
    group: ENGINE,
    initial: undefined,
    help: 'the same for its values',
  }),
  ...PROMPT_CACHE_OPTIONS,
  ...OUTPUT_FORM_OPTIONS,
  ...SPECULATION_OPTIONS,
  ...IGNORED_OPTIONS,
} as const;
