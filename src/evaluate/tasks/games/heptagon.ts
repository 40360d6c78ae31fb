import type { Point, Shape } from '../host/display-list.js';
import type { Screen } from '../host/window.js';
import { CheckFailure, type Game } from '../sandbox/game.js';
import { DEFAULT_LIMITS, type Task } from '../task.js';
import { hostRules } from './host-rules.js';
import { numbers } from './tracks.js';

const SIZE = 640;
const SIDES = 7;
/** Seconds of one turn. */
const TURN_SECONDS = 5;

/** Balls in a rotating heptagon; 20 of them, or an easier single one. */
export function heptagonTask(name: string, balls: number): Task {
  const one = balls === 1;
  return {
    name,
    prompt: one ? promptOfOne() : promptOfMany(balls),
    width: SIZE,
    height: SIZE,
    // Collisions of many balls in small steps are work for an interpreter.
    limits: { ...DEFAULT_LIMITS, seconds: 180 },
    checks: [
      { name: 'a regular heptagon is drawn', points: 1, run: (game) => void findHeptagon(after(game, 2)) },
      { name: 'it turns once in five seconds', points: 1, run: turns },
      {
        name: one ? 'a ball is drawn' : `${balls} balls of one size are drawn`,
        points: 1,
        run: (game) => void findBalls(game, after(game, 30), balls),
      },
      {
        name: one ? 'it starts at the centre' : 'they start around the centre',
        points: 1,
        run: (game) => startAtCentre(game, balls),
      },
      { name: 'gravity pulls down', points: 1, run: (game) => fall(game, balls) },
      { name: 'balls stay inside for ten seconds', points: 2, run: (game) => stayInside(game, balls) },
      { name: 'balls bounce', points: 1, run: (game) => bounce(game, balls) },
      ...(one
        ? []
        : [
            {
              name: 'balls do not go through each other',
              points: 2,
              run: (game: Game) => keepApart(game, balls),
            },
            { name: 'balls carry their numbers', points: 1, run: (game: Game) => numbered(game, balls) },
            {
              name: 'numbers turn with their balls',
              points: 1,
              run: (game: Game) => numbersTurn(game, balls),
            },
          ]),
    ],
  };
}

const SCENE = `- The outline of a regular heptagon stands around the middle of the canvas, closed, its corners 250 to 300 pixels from the \
middle. It turns around its middle at constant speed, once in ${TURN_SECONDS} seconds.`;

function promptOfMany(balls: number): string {
  return `Write a program that shows ${balls} balls bouncing inside a spinning heptagon.

${SCENE}
- All balls are filled circles of the same radius, 12 to 18 pixels, each in its own colour, with its number from 1 to ${balls} \
in its middle. They start at rest, close together around the middle of the heptagon, without overlapping much.
- Gravity pulls them down; friction slows them. They bounce off the turning walls and off each other, do not overlap and \
never leave the heptagon. A ball that falls from the middle bounces back higher than its radius, but not as high as the \
middle.
- Friction at walls and between balls makes balls spin: their numbers turn with them.
- Compute collisions yourself; small time steps keep balls from sinking into walls or each other.

${hostRules(SIZE, SIZE)}`;
}

function promptOfOne(): string {
  return `Write a program that shows a ball bouncing inside a spinning heptagon.

${SCENE}
- The ball is a filled circle with a radius of 12 to 18 pixels. It starts at rest in the middle of the heptagon.
- Gravity pulls it down; friction slows it. It bounces off the turning walls and never leaves the heptagon. After its \
first fall it bounces back higher than its radius, but not as high as the middle.
- Compute collisions yourself; small time steps keep the ball from sinking into the walls.

${hostRules(SIZE, SIZE)}`;
}

function after(game: Game, frames: number): Screen {
  game.frames(frames);
  return game.screen();
}

/** Corners in order, from the largest seven-sided outline, or from seven lines. */
function heptagonIn({ shapes }: Screen): readonly Point[] | undefined {
  const polygons = shapes.filter(({ kind, points }) => kind === 'polygon' && points?.length === SIDES);
  const [largest] = polygons.sort((a, b) => b.width * b.height - a.width * a.height);
  if (largest?.points) return largest.points;
  const corners: Point[] = [];
  for (const { kind, points } of shapes) {
    if (kind !== 'line') continue;
    for (const point of points!) {
      if (corners.every((corner) => distance(corner, point) > 3)) corners.push(point);
    }
  }
  const middle = mean(corners);
  const angle = ([x, y]: Point) => Math.atan2(y - middle[1], x - middle[0]);
  return corners.length === SIDES ? corners.sort((a, b) => angle(a) - angle(b)) : undefined;
}

function mean(points: readonly Point[]): Point {
  const sum = (axis: 0 | 1) => points.reduce((total, point) => total + point[axis], 0);
  return [sum(0) / points.length, sum(1) / points.length];
}

function distance([ax, ay]: Point, [bx, by]: Point): number {
  return Math.hypot(ax - bx, ay - by);
}

interface Heptagon {
  readonly corners: readonly Point[];
  readonly middle: Point;
  readonly radius: number;
}

function findHeptagon(screen: Screen): Heptagon {
  const corners = heptagonIn(screen);
  if (corners === undefined) throw new CheckFailure('no closed outline with seven corners is drawn');
  const middle = mean(corners);
  const radii = corners.map((corner) => distance(corner, middle));
  const radius = radii.reduce((sum, one) => sum + one, 0) / SIDES;
  if (radii.some((one) => Math.abs(one - radius) > 0.05 * radius))
    throw new CheckFailure('the outline is not regular');
  if (radius < SIZE / 4)
    throw new CheckFailure(`its corners are ${radius.toFixed(0)} pixels from its middle: too small`);
  return { corners, middle, radius };
}

/** Radians the heptagon turned by between two screens, modulo a seventh of a turn, nearest to zero. */
function turned(from: Heptagon, to: Heptagon): number {
  const seventh = (2 * Math.PI) / SIDES;
  const angle = ({ corners, middle }: Heptagon) =>
    Math.atan2(corners[0]![1] - middle[1], corners[0]![0] - middle[0]);
  const difference = angle(to) - angle(from);
  return difference - seventh * Math.round(difference / seventh);
}

function turns(game: Game): void {
  let previous = findHeptagon(after(game, 5));
  let total = 0;
  const steps: number[] = [];
  for (let i = 0; i < 30; i++) {
    const next = findHeptagon(after(game, 2));
    steps.push(turned(previous, next));
    total += steps.at(-1)!;
    previous = next;
  }
  const seconds = (2 * Math.PI) / Math.abs(total);
  game.assert(Math.abs(total) > 0.05, 'the heptagon does not turn');
  game.assert(
    Math.abs(seconds - TURN_SECONDS) < 0.1 * TURN_SECONDS,
    `one turn takes ${seconds.toFixed(1)} seconds: expected ${TURN_SECONDS}`,
  );
  const average = total / steps.length;
  const steady = steps.every((step) => Math.abs(step - average) < 0.5 * Math.abs(average));
  game.assert(steady, 'the heptagon does not keep its speed');
}

/** The filled circles of which there are `count` of one size, in drawing order. */
function findBalls(game: Game, { shapes }: Screen, count: number): Shape[] {
  const groups = new Map<number, Shape[]>();
  for (const shape of shapes) {
    if (shape.kind !== 'circle' || shape.paint !== 'fill' || shape.width > SIZE / 4) continue;
    const size = Math.round(shape.width);
    const group = groups.get(size) ?? [];
    groups.set(size, group);
    if (group.every(({ x, y }) => x !== shape.x || y !== shape.y)) group.push(shape);
  }
  const fitting = [...groups.entries()].filter(([, group]) => group.length === count);
  const [best] = fitting.sort(([a], [b]) => b - a);
  const found = [...groups.values()].map(({ length }) => length).join(', ') || 'none';
  game.assert(best, `expected ${count} filled circles of one size, found ${found}`);
  return best[1];
}

function startAtCentre(game: Game, count: number): void {
  const screen = after(game, 2);
  const { middle, radius } = findHeptagon(screen);
  const balls = findBalls(game, screen, count);
  const furthest = Math.max(...balls.map(({ x, y }) => distance([x, y], middle)));
  const room = count === 1 ? 0.15 * radius : 0.75 * radius;
  game.assert(
    furthest < room,
    `at the start a ball is ${furthest.toFixed(0)} pixels from the middle: expected at most ${room.toFixed(0)}`,
  );
}

function meanHeight(balls: readonly Shape[]): number {
  return balls.reduce((sum, { y }) => sum + y, 0) / balls.length;
}

function fall(game: Game, count: number): void {
  const heights = [2, 12, 12].map((frames) => meanHeight(findBalls(game, after(game, frames), count)));
  const [first, second] = [heights[1]! - heights[0]!, heights[2]! - heights[1]!];
  game.assert(
    first > 0,
    `in the first 0.2 seconds balls should fall; they move by ${first.toFixed(1)} pixels`,
  );
  game.assert(second > first, 'balls do not fall faster and faster');
}

function stayInside(game: Game, count: number): void {
  for (let i = 0; i < 60; i++) {
    const screen = after(game, 10);
    const heptagon = findHeptagon(screen);
    for (const ball of findBalls(game, screen, count)) {
      const depth = insideBy(heptagon, ball);
      // Half a ball may sink into a wall for a moment; its middle must not come near it.
      game.assert(
        depth > 0.35 * (ball.width / 2),
        `after ${((i + 1) / 6).toFixed(1)} seconds a ball is ${depth < 0 ? 'outside' : 'deep in a wall'}`,
      );
    }
  }
}

/** How far a ball's middle is from the nearest wall, negative outside. */
function insideBy({ corners, middle }: Heptagon, { x, y }: Shape): number {
  const distances = corners.map(([ax, ay], i) => {
    const [bx, by] = corners[(i + 1) % SIDES]!;
    const side = ([px, py]: Point) =>
      ((bx - ax) * (py - ay) - (by - ay) * (px - ax)) / Math.hypot(bx - ax, by - ay);
    return side([x, y]) * Math.sign(side(middle));
  });
  return Math.min(...distances);
}

/** A ball rises by more than its radius after it was low, and never above the middle by much. */
function bounce(game: Game, count: number): void {
  const lowest = new Array<number>(count).fill(0);
  let rise = 0;
  let radius = 0;
  let top = Infinity;
  let middle = 0;
  for (let i = 0; i < 120; i++) {
    const screen = after(game, 3);
    const balls = findBalls(game, screen, count);
    const heptagon = findHeptagon(screen);
    middle = heptagon.middle[1];
    balls.forEach(({ x, y, width }, ball) => {
      radius = width / 2;
      const isLow = y > middle + heptagon.radius / 3;
      if (isLow) lowest[ball] = Math.max(lowest[ball]!, y);
      // Up along a wall that carries it is no bounce.
      if (lowest[ball]! > 0 && insideBy(heptagon, { x, y } as Shape) > width) {
        rise = Math.max(rise, lowest[ball]! - y);
        top = Math.min(top, y);
      }
    });
    if (rise > 2 * radius && i > 90) break;
  }
  game.assert(
    lowest.some((y) => y > 0),
    'within six seconds no ball reaches the lower walls',
  );
  game.assert(
    rise > radius,
    `after touching the ground no ball rises by more than its radius (${rise.toFixed(0)} pixels)`,
  );
  if (count === 1) game.assert(top > middle - 4 * radius, 'the ball bounces higher than it fell from');
}

function keepApart(game: Game, count: number): void {
  let deepest = Infinity;
  let overlapping = 0;
  let pairs = 0;
  game.frames(60);
  for (let i = 0; i < 30; i++) {
    const balls = findBalls(game, after(game, 10), count);
    balls.forEach((a, j) => {
      for (const b of balls.slice(j + 1)) {
        const share = distance([a.x, a.y], [b.x, b.y]) / a.width;
        deepest = Math.min(deepest, share);
        if (share < 0.85) overlapping++;
        if (share < 1.1) pairs++;
      }
    });
  }
  game.assert(pairs > 0, 'in six seconds no two balls come near each other');
  game.assert(
    overlapping < 0.1 * pairs && deepest > 0.4,
    `balls go through each other: of ${pairs} touching pairs ${overlapping} overlap by more than 15 % of their size`,
  );
}

function numbered(game: Game, count: number): void {
  const screen = after(game, 60);
  const balls = findBalls(game, screen, count);
  const found = new Set<number>();
  for (const { x, y, width } of balls) {
    const label = screen.shapes.find(
      ({ kind, text = '', ...at }) =>
        kind === 'text' && numbers([text]).length === 1 && distance([at.x, at.y], [x, y]) < width / 2,
    );
    if (label) found.add(numbers([label.text!])[0]!);
  }
  const missing = Array.from({ length: count }, (_, i) => i + 1).filter((number) => !found.has(number));
  game.assert(missing.length <= 1, `no ball has the number ${missing.slice(0, 5).join(', ')} in it`);
}

function numbersTurn(game: Game, count: number): void {
  const angles = (screen: Screen) =>
    new Map(
      screen.shapes.flatMap(({ text, angle }) => (text === undefined ? [] : [[text, angle ?? 0] as const])),
    );
  const before = angles(after(game, 2));
  const later = angles(after(game, 240));
  let spun = 0;
  for (const [text, angle] of later) {
    if (Math.abs(angle - (before.get(text) ?? angle)) > 0.1) spun++;
  }
  game.assert(spun >= count / 4, `after four seconds ${spun} of ${count} numbers have turned`);
}
