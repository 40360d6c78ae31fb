import { CriaError } from '../../base/errors.js';
import type { Picture } from './picture.js';

export interface PictureLimits {
  /** Largest file; default 64 MiB. */
  readonly maxBytes?: number;
  /** Most pixels, width × height; default 2^27. */
  readonly maxPixels?: number;
}

/** Largest picture file unless a caller says otherwise. */
export const MAX_PICTURE_BYTES = 64 * 2 ** 20;
const MAX_PIXELS = 2 ** 27;

type PictureFormat = 'png' | 'jpeg' | 'webp' | 'gif';

/**
 * Decodes a PNG, JPEG, WebP or GIF (its first frame) as transformers sees it: turned as its EXIF data say, grey
 * and palettes as colours, colour profiles not applied; what is transparent lies on white.
 * Throws `picture-too-large` (resources) before decoding; `not-a-picture` (bad-file) for other bytes,
 * `bad-picture` (bad-file) for damaged ones.
 */
export async function decodePicture(bytes: Uint8Array, limits: PictureLimits = {}): Promise<Picture> {
  const { maxBytes = MAX_PICTURE_BYTES, maxPixels = MAX_PIXELS } = limits;
  if (bytes.length > maxBytes) throw pictureTooLarge(`at most ${maxBytes} bytes`, `${bytes.length}`);
  const format = pictureFormat(bytes);
  // The decoder is native code: only those who use pictures load it.
  const { default: sharp } = await import('sharp');
  const open = () =>
    sharp(bytes, { failOn: 'error', ignoreIcc: true, limitInputPixels: maxPixels, pages: 1 });
  const { width, height, format: found } = await open().metadata().catch(refuse(format));
  if (found !== format) throw badPicture(format, `it reads as ${found}`);
  if (width * height > maxPixels)
    throw pictureTooLarge(`at most ${maxPixels} pixels`, `${width} × ${height}`);
  const { data, info } = await open()
    .autoOrient()
    .flatten({ background: '#ffffff' })
    .toColourspace('srgb')
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true })
    .catch(refuse(format));
  if (info.channels !== 3) throw badPicture(format, `${info.channels} channels after conversion to three`);
  return { width: info.width, height: info.height, rgb: data };
}

/** By the file's first bytes, so that no other reader of the decoder ever meets untrusted input. */
function pictureFormat(bytes: Uint8Array): PictureFormat {
  const starts = (text: string, at = 0) =>
    text === String.fromCharCode(...bytes.subarray(at, at + text.length));
  if (starts('\x89PNG\r\n\x1a\n')) return 'png';
  if (starts('\xff\xd8\xff')) return 'jpeg';
  if (starts('RIFF') && starts('WEBP', 8)) return 'webp';
  if (starts('GIF87a') || starts('GIF89a')) return 'gif';
  throw new CriaError(
    'bad-file',
    'not-a-picture',
    `expected a PNG, JPEG, WebP or GIF picture, found ${bytes.length} bytes of something else`,
  );
}

function refuse(format: PictureFormat): (error: unknown) => never {
  return (error) => {
    const reason = error instanceof Error ? error.message : String(error);
    if (/exceeds pixel limit/.test(reason)) throw pictureTooLarge('fewer pixels', 'more than the limit');
    throw badPicture(format, reason.split('\n')[0]!, error);
  };
}

function badPicture(format: PictureFormat, reason: string, cause?: unknown): CriaError {
  const message = `the ${format.toUpperCase()} picture cannot be decoded: ${reason}`;
  return new CriaError('bad-file', 'bad-picture', message, { cause });
}

/** The error for a picture over a limit. */
export function pictureTooLarge(expected: string, found: string): CriaError {
  const message = `the picture is too large: expected ${expected}, found ${found}`;
  return new CriaError('resources', 'picture-too-large', message);
}
