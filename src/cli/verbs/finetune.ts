import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CriaError } from '../../base/errors.js';
import { openTrainingPage, type TrainingPage } from '../../server/training-page.js';
import type { TrainingObserver } from '../../train/events.js';
import { finetune } from '../../train/finetune.js';
import { TrainingHistory } from '../../train/report/training-history.js';
import { LOG_NAME } from '../../train/training-log.js';
import { trainingPictures } from '../../train/training-pictures.js';
import { FINETUNE_OPTIONS } from '../finetune-options.js';
import { modelPath } from '../model-argument.js';
import { integer, toggle } from '../options.js';
import { MODEL } from '../shared-options.js';
import { trainingProgress } from '../training-progress.js';
import { defineVerb, type Terminal } from '../verb.js';

export const finetuneVerb = defineVerb({
  name: 'finetune',
  summary: 'Train a model on your data: LoRA, QLoRA, DPO, or every weight',
  details:
    'Writes adapters, as PEFT and as GGUF (adapter.gguf), or with --full a checkpoint folder; beside them a log, a report and the checkpoints of the run. The base may be quantized: it stays as it is, and the adapters train in 32 bits. Ctrl-C saves; the same command with --resume goes on, and ends in the same bytes as if it had not been stopped.',
  positionals: [MODEL],
  examples: [
    'cria finetune scout-q4.gguf --data chats.jsonl -o my-adapter',
    'cria finetune scout-q4.gguf --data chats.jsonl -o my-adapter --experts --eval-split 0.05 --early-stopping-patience 3',
    'cria finetune scout-q4.gguf --method dpo --data pairs.jsonl -o my-adapter',
    'cria run scout-q4.gguf --lora my-adapter',
  ],
  options: {
    ...FINETUNE_OPTIONS,
    ui: toggle(['--ui'], {
      group: 'The run',
      help: 'show the run on a page of this machine while it goes on',
    }),
    uiPort: integer(['--ui-port'], {
      group: 'The run',
      initial: 8090,
      min: 0,
      max: 65535,
      help: 'port of that page',
    }),
  },
  run: async (terminal, { positionals: [name = ''], values, given }) => {
    const { output, data, mmproj, ui, uiPort, ...options } = values;
    if (data.length === 0) {
      throw new CriaError('usage', 'missing-argument', 'missing data: expected --data FILE');
    }
    if (output === undefined) {
      throw new CriaError('usage', 'missing-argument', 'missing output: expected -o DIR');
    }
    if (options.full && given.has('rank')) {
      const message = '--full trains every weight, found --lora-r of adapters beside it';
      throw new CriaError('usage', 'conflicting-options', message);
    }
    const model = await modelPath(name);
    const tower = mmproj ?? ((await isFolder(model)) ? model : undefined);
    const observers = [trainingProgress(terminal)];
    const page = ui ? await openPage(terminal, output, options.resume, uiPort, observers) : undefined;
    try {
      const result = await finetune({
        ...options,
        targetModules: options.targetModules.length > 0 ? options.targetModules : undefined,
        model,
        output,
        data,
        pictures: tower === undefined ? undefined : trainingPictures(tower),
        observe: (event) => {
          for (const observer of observers) observer(event);
        },
        signal: terminal.signal,
      });
      terminal.stdout.write(`${result.outputs.join('\n')}\n`);
    } finally {
      await page?.close();
    }
  },
});

/** Opens the live page, with what a run that goes on has told before, and has it listen. */
async function openPage(
  terminal: Terminal,
  output: string,
  resume: boolean,
  port: number,
  observers: TrainingObserver[],
): Promise<TrainingPage> {
  const log = resume ? await readFile(join(output, LOG_NAME), 'utf8').catch(() => '') : '';
  const history = TrainingHistory.fromLog(log);
  const page = await openTrainingPage({ port, history });
  observers.push((event) => history.add(event), page.observer);
  terminal.stderr.write(`the run is at ${page.url}\n`);
  return page;
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}
