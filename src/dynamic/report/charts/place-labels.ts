export interface LabelledPoint {
  /** In units of the drawing. */
  readonly x: number;
  readonly y: number;
  readonly text: string;
}

/** Where the middle of a label goes, relative to its point. */
export interface LabelPlace {
  readonly dx: number;
  readonly dy: number;
}

interface Box {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

const CHARACTER = 6.4;
const HEIGHT = 14;
const GAP = 9;
const DOT = 6;

/** Times that every label may look for a better place, now that it sees where the others went. */
const ROUNDS = 4;

/** Units² of covered label that a label goes to its next best place for. */
const RANK_COST = 4;
/** And for a place so far away that the point it belongs to is not clear. */
const FAR_COST = 80;

/**
 * Puts the label of each point beside, above or below it, where it covers least of the other labels and points and
 * stays inside `frame`.
 */
export function placeLabels(points: readonly LabelledPoint[], frame: Box): LabelPlace[] {
  const dots = points.map(({ x, y }) => boxAround(x, y, 2 * DOT, 2 * DOT));
  const placed: ({ place: LabelPlace; box: Box } | undefined)[] = points.map(() => undefined);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [index, { x, y, text }] of points.entries()) {
      const width = text.length * CHARACTER + 4;
      const taken = placed.flatMap((other, i) => (other === undefined || i === index ? [] : other.box));
      const others = dots.filter((_, i) => i !== index);
      let lowest = Infinity;
      for (const [rank, [dx, dy]] of candidates(width / 2 + GAP).entries()) {
        const box = boxAround(x + dx, y + dy, width, HEIGHT);
        const outside = width * HEIGHT - overlap(box, frame);
        const covered = covering(box, taken) + 2 * covering(box, others);
        const far = Math.abs(dy) > 20 ? FAR_COST : 0;
        const cost = covered + 4 * outside + RANK_COST * rank + far;
        if (cost >= lowest) continue;
        lowest = cost;
        placed[index] = { place: { dx, dy }, box };
      }
    }
  }
  return placed.map((label) => label!.place);
}

function covering(box: Box, others: readonly Box[]): number {
  return others.reduce((sum, other) => sum + overlap(box, other), 0);
}

/** Right of the point first, then around it, then further away. */
function candidates(side: number): (readonly [number, number])[] {
  return [
    [side, 0],
    [side * 0.8, -13],
    [side * 0.8, 13],
    [0, -15],
    [0, 15],
    [-side, 0],
    [-side * 0.8, -13],
    [-side * 0.8, 13],
    [0, -29],
    [0, 29],
  ];
}

function boxAround(x: number, y: number, width: number, height: number): Box {
  return { left: x - width / 2, right: x + width / 2, top: y - height / 2, bottom: y + height / 2 };
}

function overlap(a: Box, b: Box): number {
  const width = Math.min(a.right, b.right) - Math.max(a.left, b.left);
  const height = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
  return width > 0 && height > 0 ? width * height : 0;
}
