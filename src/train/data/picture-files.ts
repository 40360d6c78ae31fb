import { realpath } from 'node:fs/promises';
import { dirname, isAbsolute, relative, resolve, sep } from 'node:path';
import { formatBytes } from '../../base/byte-size.js';
import { FileReader } from '../../base/file-reader.js';
import { quote } from '../../base/text.js';
import { MAX_PICTURE_BYTES } from '../../model/vision/decode-picture.js';
import type { PictureSource } from './data-row.js';
import { RowFault } from './row-fault.js';

/**
 * The bytes of a row's picture: of a data: URL, or of a file in the folder of the data file or below. Data come from
 * anywhere, so no path leads out of that folder, by `..`, by a link or by being absolute, and nothing is fetched.
 * Throws RowFault, and what FileReader throws.
 */
export async function readPicture(source: PictureSource, dataFile: string): Promise<Uint8Array> {
  if (typeof source !== 'string') return source;
  if (/^data:/i.test(source)) return decodeDataUrl(source);
  if (/^[a-z][a-z0-9+.-]+:/i.test(source)) {
    throw new RowFault(`expected a picture's path or data: URL, found ${quote(source)}: nothing is fetched`);
  }
  const folder = await realpath(dirname(resolve(dataFile)));
  const path = resolve(folder, source);
  const outside = () =>
    new RowFault(`expected pictures in the folder of the data file, found ${quote(source)}`);
  if (source.includes('\0') || isAbsolute(source) || !isInside(path, folder)) throw outside();
  const real = await realpath(path).catch(() => path);
  if (!isInside(real, folder)) throw outside();
  const file = await FileReader.open(real);
  try {
    if (file.size > MAX_PICTURE_BYTES) throw tooLarge(file.size);
    const bytes = new Uint8Array(file.size);
    await file.read(0, bytes);
    return bytes;
  } finally {
    await file.close();
  }
}

function isInside(path: string, folder: string): boolean {
  const way = relative(folder, path);
  return way !== '' && way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}

function decodeDataUrl(url: string): Uint8Array {
  const comma = url.indexOf(',');
  const encoded = url.slice(comma + 1);
  if (
    comma < 0 ||
    !/;base64$/i.test(url.slice(0, comma)) ||
    !/^[A-Za-z0-9+/_\-\s]*={0,2}\s*$/.test(encoded)
  ) {
    throw new RowFault('expected data:image/…;base64,… for a picture in the row');
  }
  const bytes = Buffer.from(encoded, 'base64');
  if (bytes.length > MAX_PICTURE_BYTES) throw tooLarge(bytes.length);
  return bytes;
}

function tooLarge(size: number): RowFault {
  return new RowFault(
    `expected a picture of at most ${formatBytes(MAX_PICTURE_BYTES)}, found ${formatBytes(size)}`,
  );
}
