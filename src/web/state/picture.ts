import type { Picture } from '../chat/messages.js';

/** Formats the server reads. Whatever else the browser can show is sent as JPEG. */
const SENT_AS_IT_IS = new Set(['image/png', 'image/jpeg', 'image/webp', 'image/gif']);
const MAX_BYTES = 6 * 2 ** 20;
/** Longest side of a picture that is drawn anew; the vision tower sees at most 16 tiles of 336 pixels. */
const MAX_SIDE = 2016;
const PREVIEW_SIDE = 480;

/** A chosen, dropped or pasted file as a picture of a message; `undefined` when it is none. */
export async function readPicture(file: File): Promise<Picture | undefined> {
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    return undefined;
  }
  try {
    const direct = SENT_AS_IT_IS.has(file.type) && file.size <= MAX_BYTES;
    return {
      name: file.name,
      url: direct ? await dataUrl(file) : drawn(bitmap, MAX_SIDE, 0.92),
      preview: drawn(bitmap, PREVIEW_SIDE, 0.8),
    };
  } finally {
    bitmap.close();
  }
}

function drawn(bitmap: ImageBitmap, side: number, quality: number): string {
  const scale = Math.min(1, side / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement('canvas');
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const context = canvas.getContext('2d')!;
  // JPEG has no transparency; the server, too, lays pictures on white.
  context.fillStyle = '#fff';
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = 'high';
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL('image/jpeg', quality);
}

function dataUrl(file: File): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result as string);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}
