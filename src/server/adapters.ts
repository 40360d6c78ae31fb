import type { z } from 'zod';
import type { Model } from '../generate/load-model.js';
import { badRequest } from './api-error.js';
import type { ServerContext } from './context.js';
import type { loraAdaptersRequest } from './schemas.js';

/** A request's choice of adapters, as llama-server has it: those left out get none. */
export type AdapterChoice = z.infer<typeof loraAdaptersRequest>;

/** The adapters the model was loaded with, and how much of each requests get that do not say. */
export class ServerAdapters {
  readonly #paths: readonly string[];
  #scales: readonly number[];

  constructor(model: Pick<Model, 'adapters'>) {
    this.#paths = model.adapters.map(({ path }) => path);
    this.#scales = model.adapters.map(({ scale }) => scale);
  }

  list(): { id: number; path: string; scale: number }[] {
    return this.#paths.map((path, id) => ({ id, path, scale: this.#scales[id]! }));
  }

  /** Scales of one request. Throws `no-such-adapter` (400). */
  scales(choice: AdapterChoice | null | undefined): readonly number[] {
    if (!choice) return this.#scales;
    const scales = this.#paths.map(() => 0);
    for (const { id, scale } of choice) {
      if (id >= scales.length) {
        const known = scales.length === 0 ? 'none are loaded' : `ids go to ${scales.length - 1}`;
        throw badRequest('no-such-adapter', `there is no adapter ${id}: ${known}`, 'lora');
      }
      scales[id] = scale;
    }
    return scales;
  }

  /** Changes what later requests get. */
  choose(choice: AdapterChoice): void {
    this.#scales = this.scales(choice);
  }
}

/** `POST /lora-adapters`: the adapters of requests that do not choose for themselves. */
export function chooseAdapters(body: AdapterChoice, { adapters }: ServerContext): object {
  adapters.choose(body);
  return { success: true };
}
