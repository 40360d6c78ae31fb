import { createHash } from 'node:crypto';
import { CriaError } from '../../base/errors.js';
import type { BlobStore } from './blob-store.js';
import type { PictureSource } from './data-row.js';
import { readPicture } from './picture-files.js';
import { asRowFault } from './row-fault.js';
import type { PictureEncoder } from './types.js';

/** What `decodePicture` says of a picture; other errors concern the vision tower. */
const UNDECODABLE = ['not-a-picture', 'bad-picture', 'picture-too-large'];

/** A picture that was encoded: its tokens, with negative ids from −1 on for its own rows, and where those are. */
interface StoredPicture {
  readonly ids: readonly number[];
  readonly blob: number;
  readonly rows: number;
}

/** The pictures of one example, whose rows are counted through. */
export interface ExamplePictures {
  /** Tokens of a picture. Throws RowFault where it cannot be had. */
  add(source: PictureSource): Promise<{ readonly ids: readonly number[] }>;
  /** Blobs of the rows of all pictures so far, in order. */
  readonly blobs: readonly number[];
}

/** Encodes every picture once, whatever the number of rows that show it. */
export class PreparedPictures {
  readonly #store: BlobStore;
  readonly #encoder: PictureEncoder | undefined;
  readonly #known = new Map<string, StoredPicture>();
  #width = 0;

  constructor(store: BlobStore, encoder: PictureEncoder | undefined) {
    this.#store = store;
    this.#encoder = encoder;
  }

  /** Floats of a row; 0 before the first picture. */
  get width(): number {
    return this.#width;
  }

  /** @param where names the row, for the error of having no encoder: `no-mmproj` (usage) */
  forExample(dataFile: string, where: string): ExamplePictures {
    const blobs: number[] = [];
    let before = 0;
    return {
      blobs,
      add: async (source) => {
        const picture = await this.#encode(source, dataFile, where);
        blobs.push(picture.blob);
        const ids = picture.ids.map((id) => (id < 0 ? id - before : id));
        before += picture.rows;
        return { ids };
      },
    };
  }

  async #encode(source: PictureSource, dataFile: string, where: string): Promise<StoredPicture> {
    const encoder = this.#encoder;
    if (!encoder) {
      const message = `${where}: pictures need the vision tower of the model: expected its mmproj file (--mmproj), found none`;
      throw new CriaError('usage', 'no-mmproj', message);
    }
    const bytes = await readPicture(source, dataFile).catch((error) => {
      throw asRowFault(error);
    });
    const key = createHash('sha256').update(bytes).digest('hex');
    const known = this.#known.get(key);
    if (known) return known;
    const { ids } = await encoder.encode(bytes).catch((error) => {
      throw error instanceof CriaError && UNDECODABLE.includes(error.code) ? asRowFault(error) : error;
    });
    const picture = await this.#keep(encoder, ids);
    this.#known.set(key, picture);
    return picture;
  }

  async #keep(encoder: PictureEncoder, given: readonly number[]): Promise<StoredPicture> {
    const rows: Float32Array[] = [];
    const ids = given.map((id) => (id < 0 ? -rows.push(encoder.row(id)) : id));
    this.#width = rows[0]?.length ?? this.#width;
    const all = new Float32Array(rows.length * this.#width);
    for (const [i, row] of rows.entries()) all.set(row, i * this.#width);
    return { ids, rows: rows.length, blob: await this.#store.append(new Uint8Array(all.buffer)) };
  }
}
