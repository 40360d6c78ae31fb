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

/**
 * Puts the label of each point beside, above or below it, where it covers least of the other labels and points and
 * stays inside `frame`. Greedy, from left to right.
 */
export function placeLabels(points: readonly LabelledPoint[], frame: Box): LabelPlace[] {
  const dots = points.map(({ x, y }) => boxAround(x, y, 2 * DOT, 2 * DOT));
  const places: LabelPlace[] = points.map(() => ({ dx: 0, dy: 0 }));
  const taken: Box[] = [];
  const order = points.map((_, i) => i).sort((a, b) => points[a]!.x - points[b]!.x);
  for (const index of order) {
    const { x, y, text } = points[index]!;
    const width = text.length * CHARACTER + 4;
    const side = width / 2 + GAP;
    let best: { cost: number; place: LabelPlace; box: Box } | undefined;
    for (const [rank, [dx, dy]] of candidates(side).entries()) {
      const box = boxAround(x + dx, y + dy, width, HEIGHT);
      const overLabels = taken.reduce((sum, other) => sum + overlap(box, other), 0);
      const overDots = dots.reduce((sum, dot, i) => sum + (i === index ? 0 : overlap(box, dot)), 0);
      const outside = width * HEIGHT - overlap(box, frame);
      const cost = overLabels + 2 * overDots + 4 * outside + rank;
      if (best === undefined || cost < best.cost) best = { cost, place: { dx, dy }, box };
    }
    places[index] = best!.place;
    taken.push(best!.box);
  }
  return places;
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
