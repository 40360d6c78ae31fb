import fc from 'fast-check';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { CriaError } from '../../base/errors.js';
import { decodePicture } from './decode-picture.js';

/** Left half red, right half blue, 6 × 4. */
const RGB = Uint8Array.from({ length: 6 * 4 * 3 }, (_, i) => {
  const left = Math.floor(i / 3) % 6 < 3;
  return i % 3 === (left ? 0 : 2) ? 255 : 0;
});
const drawn = () => sharp(RGB, { raw: { width: 6, height: 4, channels: 3 } });

describe('decodePicture', () => {
  it.each(['png', 'jpeg', 'webp', 'gif'] as const)('reads %s', async (format) => {
    const bytes = await drawn()
      .toFormat(
        format,
        format === 'gif' || format === 'png' ? {} : { quality: 100, chromaSubsampling: '4:4:4' },
      )
      .toBuffer();
    const picture = await decodePicture(bytes);
    expect([picture.width, picture.height, picture.rgb.length]).toEqual([6, 4, 72]);
    const [red, , blue] = picture.rgb;
    expect(red).toBeGreaterThan(blue!);
    expect(picture.rgb.at(-1)).toBeGreaterThan(picture.rgb.at(-3)!);
  });

  it('turns a picture as its EXIF orientation says', async () => {
    const bytes = await drawn().png().withMetadata({ orientation: 6 }).toBuffer();
    const { width, height, rgb } = await decodePicture(bytes);
    expect([width, height]).toEqual([4, 6]);
    // A quarter turn clockwise: what was left is on top.
    expect([...rgb.subarray(0, 3)]).toEqual([255, 0, 0]);
    expect([...rgb.subarray(-3)]).toEqual([0, 0, 255]);
  });

  it('lays transparency on white, and makes grey and deep pictures plain ones', async () => {
    const clear = {
      create: { width: 2, height: 2, channels: 4, background: { r: 9, g: 9, b: 9, alpha: 0 } },
    } as const;
    const transparent = await decodePicture(await sharp(clear).png().toBuffer());
    expect([...transparent.rgb]).toEqual(new Array(12).fill(255));
    const grey = await decodePicture(await drawn().greyscale().png().toBuffer());
    expect(grey.rgb).toHaveLength(72);
    const deep = await drawn().toColourspace('rgb16').png().toBuffer();
    expect([...(await decodePicture(deep)).rgb]).toEqual([...RGB]);
  });

  it('takes the first frame of an animation', async () => {
    const frames = Buffer.alloc(2 * 2 * 4 * 3, 0).fill(200, 24);
    const animated = await sharp(frames, { raw: { width: 2, height: 4, channels: 3, pageHeight: 2 } })
      .gif({ delay: [100, 100] })
      .toBuffer();
    const { width, height, rgb } = await decodePicture(animated);
    expect([width, height]).toEqual([2, 2]);
    expect(Math.max(...rgb)).toBeLessThan(50);
  });

  it('refuses what is too large, before decoding', async () => {
    const bytes = await drawn().png().toBuffer();
    const code = 'picture-too-large';
    await expect(decodePicture(bytes, { maxPixels: 23 })).rejects.toMatchObject({ code });
    await expect(decodePicture(bytes, { maxBytes: bytes.length - 1 })).rejects.toMatchObject({ code });
  });

  it('never fails but with an error of its own, whatever the bytes', async () => {
    const files = await Promise.all(
      (['png', 'jpeg', 'webp', 'gif'] as const).map((format) =>
        drawn().resize(40, 30).toFormat(format).toBuffer(),
      ),
    );
    const damage = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...files), damage, fc.nat(), async (file, changes, cut) => {
        const bytes = Uint8Array.from(file).subarray(
          0,
          file.length - (cut % 3 === 0 ? cut % file.length : 0),
        );
        for (const [at, value] of changes) bytes[at % file.length] = value;
        const outcome = await decodePicture(bytes, { maxPixels: 10_000 }).catch((error) => error);
        if (outcome instanceof Error) expect(outcome).toBeInstanceOf(CriaError);
        else expect(outcome.rgb).toHaveLength(outcome.width * outcome.height * 3);
      }),
      { numRuns: 200 },
    );
  });

  it('refuses other files and damaged ones', async () => {
    const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>');
    await expect(decodePicture(svg)).rejects.toMatchObject({ code: 'not-a-picture' });
    await expect(decodePicture(new Uint8Array(0))).rejects.toMatchObject({ code: 'not-a-picture' });
    const hidden = Buffer.concat([Buffer.from('GIF89a'), svg]);
    await expect(decodePicture(hidden)).rejects.toMatchObject({ code: 'bad-picture' });
    for (const format of ['png', 'jpeg', 'webp', 'gif'] as const) {
      const bytes = await drawn().resize(64, 64).toFormat(format).toBuffer();
      const cut = bytes.subarray(0, Math.floor(bytes.length / 2));
      await expect(decodePicture(cut), format).rejects.toMatchObject({ kind: 'bad-file' });
    }
  });
});
