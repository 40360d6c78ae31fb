import { expect, it } from 'vitest';
import { placeLabels } from './place-labels.js';

const FRAME = { left: 0, top: 0, right: 400, bottom: 200 };

/** Middle, half width and half height as the placing assumes them. */
function boxes(points: { x: number; y: number; text: string }[]) {
  return placeLabels(points, FRAME).map(({ dx, dy }, i) => {
    const { x, y, text } = points[i]!;
    return { x: x + dx, y: y + dy, halfWidth: (text.length * 6.4 + 4) / 2, halfHeight: 7 };
  });
}

it('keeps labels of neighbouring points apart', () => {
  const points = [0, 1, 2, 3].map((i) => ({ x: 150 + 12 * i, y: 100 + 3 * i, text: 'UD-IQ2_XXS' }));
  const placed = boxes(points);
  for (const [i, a] of placed.entries()) {
    for (const b of placed.slice(i + 1)) {
      const apart =
        Math.abs(a.x - b.x) >= a.halfWidth + b.halfWidth ||
        Math.abs(a.y - b.y) >= a.halfHeight + b.halfHeight;
      expect(apart).toBe(true);
    }
  }
});

it('stays inside of the frame', () => {
  const [label] = boxes([{ x: 390, y: 100, text: 'Q4_K_M' }]);
  expect(label!.x + label!.halfWidth).toBeLessThanOrEqual(400);
});

it('puts the label of a lone point to its right', () => {
  const [place] = placeLabels([{ x: 100, y: 100, text: 'Q8_0' }], FRAME);
  expect(place).toMatchObject({ dy: 0 });
  expect(place!.dx).toBeGreaterThan(0);
});
