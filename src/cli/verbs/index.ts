import type { Verb } from '../verb.js';

export interface VerbEntry {
  readonly summary: string;
  /** Verbs load when they are used: `cria --help` must not wait for the engine. */
  readonly load: () => Promise<Verb>;
}

/** Every verb, in the order of the overview. The summary is repeated here so that listing loads nothing. */
export const VERBS: Readonly<Record<string, VerbEntry>> = {
  run: {
    summary: 'Write text or chat with a model',
    load: async () => (await import('./run.js')).run,
  },
  serve: {
    summary: "Answer chats over HTTP: OpenAI's API and a web page",
    load: async () => (await import('./serve.js')).serve,
  },
  plan: {
    summary: 'Show which size of a model fits a machine, and how fast it will be',
    load: async () => (await import('./plan.js')).plan,
  },
  pull: {
    summary: 'Fetch a model from the Hub',
    load: async () => (await import('./pull.js')).pull,
  },
  list: {
    summary: 'Show the models that have been fetched',
    load: async () => (await import('./list.js')).list,
  },
  rm: {
    summary: 'Remove a fetched model',
    load: async () => (await import('./rm.js')).rm,
  },
  convert: {
    summary: 'Turn a checkpoint into a GGUF file, or a GGUF file into a checkpoint',
    load: async () => (await import('./convert.js')).convert,
  },
  finetune: {
    summary: 'Train a model on your data: LoRA, QLoRA, DPO, or every weight',
    load: async () => (await import('./finetune.js')).finetuneVerb,
  },
  'merge-lora': {
    summary: 'Write a model with LoRA adapters merged into its weights',
    load: async () => (await import('./merge-lora.js')).mergeLora,
  },
  export: {
    summary: 'Write a checkpoint for transformers and vLLM, in 16, 8 or 4 bits',
    load: async () => (await import('./export.js')).exportVerb,
  },
  calibrate: {
    summary: 'Measure which weights matter: an importance matrix for quantizing',
    load: async () => (await import('./calibrate.js')).calibrateVerb,
  },
  quantize: {
    summary: 'Write a model in fewer bits per weight',
    load: async () => (await import('./quantize.js')).quantize,
  },
  recipes: {
    summary: 'Show what each quantization recipe makes of a model',
    load: async () => (await import('./recipes.js')).recipes,
  },
  report: {
    summary: 'Show where the bits of quantized files went, and what that cost',
    load: async () => (await import('./report.js')).reportVerb,
  },
  inspect: {
    summary: 'Show what a GGUF file or a checkpoint holds',
    load: async () => (await import('./inspect.js')).inspect,
  },
  split: {
    summary: 'Cut a GGUF file into parts',
    load: async () => (await import('./split.js')).split,
  },
  merge: {
    summary: 'Join the parts of a split GGUF file',
    load: async () => (await import('./merge.js')).merge,
  },
  'evaluate perplexity': {
    summary: 'Measure how well a model predicts a text',
    load: async () => (await import('./evaluate-perplexity.js')).evaluatePerplexityVerb,
  },
  'evaluate divergence': {
    summary: 'Measure how far a model is from its reference on a text',
    load: async () => (await import('./evaluate-divergence.js')).evaluateDivergenceVerb,
  },
  'evaluate tasks': {
    summary: 'Have a model write small games, run them, and count what works',
    load: async () => (await import('./evaluate-tasks.js')).evaluateTasksVerb,
  },
  completion: {
    summary: 'Print a script that completes commands in bash, zsh or fish',
    load: async () => (await import('./completion.js')).completion,
  },
};
