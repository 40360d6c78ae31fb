// llama.cpp on the processor through node-llama-cpp, reduced to what the comparisons need.
import { getLlama, LlamaLogLevel } from 'node-llama-cpp';

const BATCH = 512;

/**
 * Loads the library; everything llama.cpp logs is kept in `logs`. `flashAttention`: 'auto' as llama.cpp does by
 * default, true or false.
 */
export async function startLlamaCpp(threads, flashAttention = 'auto') {
  const logs = [];
  const llama = await getLlama({
    gpu: false,
    build: 'never',
    skipDownload: true,
    maxThreads: threads,
    logLevel: LlamaLogLevel.debug,
    logger: (level, message) => logs.push({ level, message }),
  });
  return {
    name: `llama.cpp ${llama.llamaCppRelease.release}`,
    /** Instruction sets that the chosen build uses. */
    features: [...llama.systemInfo.matchAll(/(\w+) = 1/g)].map(([, name]) => name),
    logs,
    /** `adapters`: `[{ path, scale }]` of GGUF adapters. */
    open: (file, contextSize, adapters = []) =>
      openModel(llama, logs, file, { contextSize, threads, flashAttention, adapters }),
    close: () => llama.dispose(),
  };
}

async function openModel(llama, logs, file, { contextSize, threads, flashAttention, adapters }) {
  // The safety checks load everything a second time to estimate memory.
  const ignoreMemorySafetyChecks = true;
  const model = await llama.loadModel({ modelPath: file, gpuLayers: 0, ignoreMemorySafetyChecks });
  const context = await model.createContext({
    contextSize,
    batchSize: BATCH,
    flashAttention,
    threads: { ideal: threads, min: threads },
    performanceTracking: true,
    ignoreMemorySafetyChecks,
    ...(adapters.length > 0 && {
      lora: { adapters: adapters.map(({ path, scale }) => ({ filePath: path, scale })) },
    }),
  });
  // Checkpoints are for chats that go back; taking them would count against llama.cpp's speed.
  const sequence = context.getSequence({ checkpoints: { interval: false } });
  const vocabSize = model.fileInfo.metadata.tokenizer.ggml.tokens.length;

  /** Evaluates `ids` after what is cached; `request(i)` says what position `i` has to give. */
  async function evaluate(ids, request) {
    return sequence.controlledEvaluate(
      Array.from(ids, (id, i) => {
        const generateNext = request(i);
        return generateNext ? [id, { generateNext }] : id;
      }),
    );
  }

  return {
    vocabSize,
    /** What it logged about the file and its memory; log lines arrive later than what they tell of. */
    facts: () => loadFacts(logs),
    clear: () => sequence.clearHistory(),
    close: () => model.dispose(),
    tokenize: (text, parseSpecial) => model.tokenize(text, parseSpecial),
    detokenize: (ids) => model.detokenize(ids, true),

    /** Logits `[positions.length][vocabSize]` of a run of tokens evaluated from an empty cache. */
    async logits(ids, positions) {
      await sequence.clearHistory();
      const results = await evaluate(ids, (i) => positions.includes(i) && { logits: true });
      return positions.map((position) => {
        const row = new Float32Array(vocabSize);
        for (const [token, logit] of results[position].next.logits) row[token] = logit;
        return row;
      });
    },

    /** −log probability, in nats, of each token after position `firstScored`, from an empty cache. */
    async score(ids, firstScored) {
      await sequence.clearHistory();
      const results = await evaluate(
        ids.slice(0, -1),
        (i) =>
          i >= firstScored && {
            totalLogitWeight: true,
            logits: { filter: { tokens: [ids[i + 1]], includeTop: 1 } },
          },
      );
      return results.slice(firstScored).map(({ next }, i) => {
        const [max] = next.logits.values();
        return Math.log(next.totalLogitWeight) - (next.logits.get(ids[firstScored + i + 1]) - max);
      });
    },

    /** The likeliest token after `ids`, evaluated after what is cached. */
    async nextToken(ids) {
      const results = await evaluate(ids, (i) => i === ids.length - 1 && { token: true });
      return results.at(-1).next.token;
    },

    /** llama.cpp's own timers since the last call, in seconds: batches of many tokens, and of one. */
    async timers() {
      logs.length = 0;
      await context.printTimings();
      const text = logs.map(({ message }) => message).join('\n');
      const seconds = (name) =>
        Number(text.match(new RegExp(`_print: +${name} time = +([\\d.]+) ms`))[1]) / 1000;
      return { prompt: seconds('prompt eval'), generation: seconds('eval') };
    },
  };
}

/** What llama.cpp says about the file and its own memory while it loads; sizes in MiB as it prints them. */
function loadFacts(logs) {
  const text = logs.map(({ message }) => message).join('\n');
  const first = (pattern) => text.match(pattern)?.[1].trim();
  const mebibytes = (pattern) =>
    [...text.matchAll(pattern)].map(([, name, size]) => ({ name: name.trim(), mebibytes: Number(size) }));
  const caches = [...text.matchAll(/llama_kv_cache: size = +([\d.]+) MiB \( *(\d+) cells, +(\d+) layers/g)];
  return {
    architecture: first(/print_info: arch += (.*)/),
    fileType: first(/print_info: file type += (.*)/),
    fileSize: first(/print_info: file size += (.*)/),
    parameters: first(/print_info: model params += (.*)/),
    caches: caches.map(([, size, cells, layers]) => ({
      mebibytes: Number(size),
      cells: Number(cells),
      layers: Number(layers),
    })),
    buffers: mebibytes(/: +(\S+ (?:model|compute|output|KV)) buffer size = +([\d.]+) MiB/g),
  };
}

/** The error lines of a log, for a message that says more than "failed to load". */
export function logErrors(logs) {
  return logs
    .filter(({ level }) => level === LlamaLogLevel.error || level === LlamaLogLevel.fatal)
    .map(({ message }) => message.trim())
    .filter(Boolean);
}
