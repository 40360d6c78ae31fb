import { stat } from 'node:fs/promises';
import { FileReader } from '../base/file-reader.js';
import { type EncodedImage, type Model, noVision } from '../generate/load-model.js';
import { MAX_PICTURE_BYTES, pictureTooLarge } from '../model/vision/decode-picture.js';
import { integer, type OptionValues, text, texts } from './options.js';
import type { Terminal } from './verb.js';
import { withProgress } from './work-progress.js';

const group = 'Pictures';

export const PICTURE_OPTIONS = {
  mmproj: text(['-mm', '--mmproj'], 'FILE', {
    group,
    help: "the model's vision tower, an mmproj GGUF (a checkpoint folder has its own)",
  }),
  images: texts(['--image'], 'FILE', {
    group,
    help: 'a PNG, JPEG, WebP or GIF to go with the first message; several times, or several with commas',
  }),
  imageMaxTokens: integer(['--image-max-tokens'], {
    group,
    initial: undefined,
    min: 1,
    help: 'cut pictures into fewer tiles, so that each takes at most this many tokens, and less time',
  }),
} as const;

type PictureValues = OptionValues<typeof PICTURE_OPTIONS>;

/** A picture file that has been read. */
export interface PictureFile {
  readonly path: string;
  readonly bytes: Uint8Array;
}

/**
 * Reads the pictures of a command line. Throws `no-mmproj` (usage) for pictures to a GGUF without a tower, before the
 * model is loaded, and what `readPicture` throws.
 */
export async function readPictures(model: string, { mmproj, images }: PictureValues): Promise<PictureFile[]> {
  if (images.length > 0 && mmproj === undefined && (await isFile(model))) throw noVision();
  const paths = await Promise.all(images.map(separate));
  return Promise.all(paths.flat().map(readPicture));
}

/** Throws the codes of `FileReader`, `picture-too-large` (resources). */
export async function readPicture(path: string): Promise<PictureFile> {
  const file = await FileReader.open(path);
  try {
    if (file.size > MAX_PICTURE_BYTES) {
      throw pictureTooLarge(`at most ${MAX_PICTURE_BYTES} bytes`, `${file.size}`);
    }
    const bytes = new Uint8Array(file.size);
    await file.read(0, bytes);
    return { path, bytes };
  } finally {
    await file.close();
  }
}

/** Encodes a picture and says on standard error what became of it. */
export async function encodePicture(
  terminal: Terminal,
  model: Model,
  { path, bytes }: PictureFile,
  { imageMaxTokens }: PictureValues,
  signal: AbortSignal,
): Promise<EncodedImage> {
  const started = performance.now();
  const image = await withProgress(
    terminal,
    { label: 'picture', unit: 'items', quiet: terminal.stderr.isTTY !== true },
    (onProgress) => model.encodeImage(bytes, { maxTokens: imageMaxTokens, onProgress, signal }),
  );
  const seconds = ((performance.now() - started) / 1000).toFixed(2);
  const { rows, columns } = image.grid;
  const tiles = rows * columns > 1 ? `${columns} × ${rows} tiles and the whole` : 'one tile';
  terminal.stderr.write(`picture '${path}': ${tiles}, ${image.ids.length} tokens, ${seconds} s\n`);
  return image;
}

/** The paths of one --image: a list with commas, unless that is the name of a file. */
async function separate(value: string): Promise<string[]> {
  return !value.includes(',') || (await isFile(value)) ? [value] : value.split(',').filter(Boolean);
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
}
