import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodePicture } from './decode-picture.js';
import type { Picture } from './picture.js';
import { resizePicture } from './resize.js';
import { fitTiles, tileGrids } from './tile-grid.js';
import { tilesOf } from './tiles.js';
import { type PICTURE_TOKENS, pictureTokens, tilesWithin } from './token-layout.js';

const GOLDEN = fileURLToPath(new URL('../../../test/golden/nano-scout/', import.meta.url));
const { files } = JSON.parse(readFileSync(`${GOLDEN}manifest.json`, 'utf8'));
const IDS: Record<number, keyof typeof PICTURE_TOKENS> = {
  4077: 'start',
  4078: 'end',
  4079: 'betweenTiles',
  4080: 'afterRow',
  4081: 'picture',
  4082: 'patch',
};
const OPTIONS = { side: 112, maxTiles: 16, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] };

describe.each(
  files.vision as { image: string; aspectRatio: number[][]; pixels: [string]; prompt: { ids: number[] } }[],
)('$image against transformers', ({ image, aspectRatio, pixels, prompt }) => {
  it('the same tiles, bit for bit', async () => {
    const tiles = await tilesOf(await decodePicture(readFileSync(GOLDEN + image)), OPTIONS);
    expect([tiles.grid.rows, tiles.grid.columns]).toEqual(aspectRatio[0]);
    const golden = new Float32Array(new Uint8Array(readFileSync(GOLDEN + pixels[0])).buffer);
    expect(tiles.pixels.length).toBe(golden.length);
    expect(tiles.pixels.findIndex((value, i) => value !== golden[i])).toBe(-1);
  });

  it('the same tokens', () => {
    const [rows, columns] = aspectRatio[0] as [number, number];
    const expected = prompt.ids.flatMap((id) => IDS[id] ?? []);
    expect(pictureTokens({ rows, columns }, 16)).toEqual(expected);
  });
});

describe('tile grids', () => {
  it('come in the order of transformers', () => {
    const grids = tileGrids(16).map(({ rows, columns }) => `${rows},${columns}`);
    expect(grids).toHaveLength(50);
    expect(grids.slice(0, 18).join(' ')).toBe(
      '1,16 2,8 1,4 4,4 3,3 2,2 1,1 8,2 4,1 16,1 1,15 3,5 5,3 15,1 1,14 2,7 7,2 14,1',
    );
    expect(grids.slice(-4).join(' ')).toBe('3,2 6,1 1,5 5,1');
  });

  it('known fits', () => {
    const fitted = (width: number, height: number) => fitTiles({ width, height }, 336, 16);
    expect(fitted(1, 1)).toEqual({ grid: { rows: 1, columns: 1 }, size: { width: 336, height: 336 } });
    expect(fitted(4000, 3000)).toEqual({
      grid: { rows: 3, columns: 4 },
      size: { width: 1344, height: 1008 },
    });
    expect(fitted(5000, 100)).toEqual({ grid: { rows: 1, columns: 15 }, size: { width: 5000, height: 100 } });
  });

  it('hold every picture, in its proportions, whatever its size', () => {
    const side = fc.integer({ min: 1, max: 20_000 });
    fc.assert(
      fc.property(side, side, fc.integer({ min: 1, max: 20 }), (width, height, maxTiles) => {
        const { grid, size } = fitTiles({ width, height }, 336, maxTiles);
        expect(grid.rows * grid.columns).toBeLessThanOrEqual(maxTiles);
        expect(size.width).toBeGreaterThan(0);
        expect(size.height).toBeGreaterThan(0);
        expect(size.width).toBeLessThanOrEqual(grid.columns * 336);
        expect(size.height).toBeLessThanOrEqual(grid.rows * 336);
        // One side sets the proportion; the other is rounded down, to a pixel at least.
        fc.pre(size.width > 1 && size.height > 1);
        const proportion = Math.max(size.width / width, size.height / height);
        expect(width * proportion - size.width).toBeLessThan(1 + 1e-6);
        expect(height * proportion - size.height).toBeLessThan(1 + 1e-6);
      }),
    );
  });
});

describe('resizing', () => {
  const picture = (width: number, height: number, rgb: Uint8Array): Picture => ({ width, height, rgb });
  const sizes = fc.record({
    width: fc.integer({ min: 1, max: 40 }),
    height: fc.integer({ min: 1, max: 40 }),
  });

  it('keeps a plain colour plain, at any sizes', async () => {
    await fc.assert(
      fc.asyncProperty(sizes, sizes, fc.integer({ min: 0, max: 255 }), async (from, to, level) => {
        const plain = new Uint8Array(from.width * from.height * 3).fill(level);
        const resized = await resizePicture(picture(from.width, from.height, plain), to);
        expect(resized.rgb).toHaveLength(to.width * to.height * 3);
        expect(resized.rgb.every((value) => Math.abs(value - level) <= 1)).toBe(true);
      }),
    );
  });

  it('is a triangle filter, within the roundings', async () => {
    await fc.assert(
      fc.asyncProperty(
        sizes,
        sizes,
        fc.infiniteStream(fc.integer({ min: 0, max: 255 })),
        async (from, to, stream) => {
          const rgb = Uint8Array.from({ length: from.width * from.height * 3 }, () => stream.next().value!);
          const resized = await resizePicture(picture(from.width, from.height, rgb), to);
          const weights = (source: number, target: number, i: number) => {
            const support = Math.max(1, source / target);
            const center = ((i + 0.5) * source) / target;
            const raw = Array.from({ length: source }, (_, j) =>
              Math.max(0, 1 - Math.abs(j + 0.5 - center) / support),
            );
            const total = raw.reduce((a, b) => a + b);
            return raw.map((w) => w / total);
          };
          for (const [x, y] of [
            [0, 0],
            [to.width - 1, to.height - 1],
            [to.width >> 1, to.height >> 1],
          ] as const) {
            const across = weights(from.width, to.width, x);
            const down = weights(from.height, to.height, y);
            let exact = 0;
            for (const [v, wy] of down.entries()) {
              for (const [u, wx] of across.entries()) exact += wx * wy * rgb[(v * from.width + u) * 3]!;
            }
            expect(Math.abs(resized.rgb[(y * to.width + x) * 3]! - exact)).toBeLessThan(1.6);
          }
        },
      ),
      { numRuns: 50 },
    );
  });
});

describe('token layout', () => {
  it('has a patch token per row of the tower and closes every row of tiles', () => {
    const count = fc.integer({ min: 1, max: 6 });
    fc.assert(
      fc.property(count, count, fc.integer({ min: 1, max: 9 }), (rows, columns, patches) => {
        const tokens = pictureTokens({ rows, columns }, patches);
        const of = (token: keyof typeof PICTURE_TOKENS) => tokens.filter((t) => t === token).length;
        const several = rows * columns > 1;
        expect(of('patch')).toBe(patches * (several ? rows * columns + 1 : 1));
        expect(of('afterRow')).toBe(several ? rows : 0);
        expect(of('betweenTiles')).toBe(rows * (columns - 1));
        expect([tokens[0], tokens.at(-1)]).toEqual(['start', 'end']);
        expect(tilesWithin(tokens.length, patches, 36)).toBe(rows * columns);
        expect(tilesWithin(tokens.length - 1, patches, 36)).toBe(Math.max(1, rows * columns - 1));
      }),
    );
  });
});
