import type { Shape } from '../host/display-list.js';
import type { Screen } from '../host/window.js';
import type { Game } from '../sandbox/game.js';
import { DEFAULT_LIMITS, type Task } from '../task.js';
import { hostRules } from './host-rules.js';
import { bottom, keyedShapes, left, numbers, right, top, tracks } from './tracks.js';

const WIDTH = 480;
const HEIGHT = 640;

const PROMPT = `Write the game Flappy Bird.

- The bird is one filled shape (a circle, a square or a triangle) of 16 to 48 pixels in a dark random colour. Its \
horizontal place is fixed, in the left half of the canvas; it starts at middle height.
- Gravity pulls the bird down from the first frame on. The space bar (keydown) or a mouse click gives it a push upwards; \
several pushes in a row lift it higher.
- The background is one light colour, the ground at the bottom a brown or yellow strip at least 20 pixels high.
- Pairs of pipes, filled rectangles in one colour, come in from the right at constant speed, one from the top edge and \
one up to the ground. Between them is a gap of 140 to 220 pixels that the bird fits through, at a random height. The \
first pair reaches the bird within 6 seconds; pairs are at least 200 pixels apart.
- The score starts at 0, grows by 1 with every pair of pipes passed, and is shown at the top right as a number.
- Touching a pipe or the ground ends the game: everything stops, and "Game over" and the best score are shown ("Best: \
N"), inside the canvas. The space bar then starts a new game, with the score at 0.

${hostRules(WIDTH, HEIGHT)}`;

export const FLAPPY_BIRD: Task = {
  name: 'flappy-bird',
  prompt: PROMPT,
  width: WIDTH,
  height: HEIGHT,
  limits: DEFAULT_LIMITS,
  checks: [
    { name: 'the bird falls without input', points: 1, run: (game) => void findBird(game) },
    {
      name: 'the space bar lifts the bird',
      points: 1,
      run: (game) => lifts(game, () => game.press('Space')),
    },
    { name: 'a click lifts the bird', points: 1, run: (game) => lifts(game, () => game.click()) },
    { name: 'pushes in a row lift the bird higher', points: 1, run: pushesAddUp },
    { name: 'pipes come from the right at constant speed', points: 1, run: pipesMove },
    { name: 'pipes leave gaps at random heights', points: 1, run: gapsVary },
    { name: 'passing pipes counts', points: 2, run: scores },
    { name: 'the ground ends the game, and the end is shown', points: 1, run: endsOnGround },
    { name: 'a pipe ends the game', points: 1, run: endsOnPipe },
    { name: 'the space bar starts a new game', points: 1, run: restarts },
  ],
};

interface Bird {
  readonly key: string;
  readonly x: number;
}

/** The largest small shape that sinks and stays in its column while nothing is pressed. */
function findBird(game: Game): Bird {
  const screens: Screen[] = [];
  // Nothing may be there before the first frame, or before an interval is over for the first time.
  game.frames(2);
  game.frames(15, (screen) => void screens.push(screen));
  const sinking = tracks(screens).filter(({ shapes }) => {
    const [first, last] = [shapes[0]!, shapes.at(-1)!];
    const small = first.width <= WIDTH / 6 && first.height <= HEIGHT / 6 && first.kind !== 'text';
    const still = shapes.every(({ x }) => Math.abs(x - first.x) < 6);
    const falls = shapes.every(({ y }, i) => i === 0 || y >= shapes[i - 1]!.y - 0.5);
    return small && still && falls && last.y > first.y + 2;
  });
  const size = ({ shapes }: (typeof sinking)[number]) => shapes[0]!.width * shapes[0]!.height;
  const [bird] = sinking.sort((a, b) => size(b) - size(a));
  game.assert(bird, 'in the first 15 frames no small shape falls straight down: where is the bird?');
  return { key: bird.key, x: bird.shapes[0]!.x };
}

function birdOn(game: Game, screen: Screen, { key }: Bird): Shape {
  const shape = keyedShapes(screen).get(key);
  game.assert(shape, 'the bird is not drawn any more');
  return shape;
}

/** Least height (largest rise) reached within `count` frames. */
function highest(game: Game, bird: Bird, count: number): number {
  let best = Infinity;
  game.frames(count, (screen) => {
    best = Math.min(best, birdOn(game, screen, bird).y);
  });
  return best;
}

function lifts(game: Game, push: () => void): void {
  const bird = findBird(game);
  const before = birdOn(game, game.screen(), bird).y;
  push();
  const rise = before - highest(game, bird, 20);
  game.assert(
    rise > 5,
    `within 20 frames the bird should rise by more than 5 pixels, it rose by ${rise.toFixed(1)}`,
  );
}

function pushesAddUp(game: Game): void {
  const rises = [1, 3].map((pushes) => {
    game.restart();
    const bird = findBird(game);
    const before = birdOn(game, game.screen(), bird).y;
    let best = Infinity;
    for (let i = 0; i < pushes; i++) {
      game.press('Space');
      best = Math.min(best, highest(game, bird, 6));
    }
    return before - Math.min(best, highest(game, bird, 10));
  });
  const [one, three] = rises as [number, number];
  game.assert(
    three > one + 3,
    `one push lifts by ${one.toFixed(0)} pixels, three lift by ${three.toFixed(0)}: expected more`,
  );
}

/** Pushes the bird so that it stays around middle height, or in the gap ahead, and shows `visit` each screen. */
function fly(game: Game, frames: number, aim: number, visit: (screen: Screen, bird: Bird) => unknown): void {
  const bird = findBird(game);
  let previous = game.screen();
  let before = birdOn(game, previous, bird).y;
  let wait = 0;
  for (let i = 0; i < frames; i++) {
    game.frames(1);
    const screen = game.screen();
    const shape = birdOn(game, screen, bird);
    const gap = gapAhead(movingLeft(previous, screen), left(shape));
    const target = gap === undefined ? HEIGHT / 2 : gap.top + aim * (gap.bottom - gap.top);
    // A push only while falling: others would add up.
    if (wait-- <= 0 && shape.y >= before && bottom(shape) + 2 * (shape.y - before) > target) {
      // Without a frame in between: callers compare one frame with the next.
      game.keyDown('Space');
      game.keyUp('Space');
      wait = 3;
    }
    before = shape.y;
    previous = screen;
    if (visit(screen, bird) === true) return;
  }
}

/** Rectangles that moved left since the last frame: pipes, and whatever decorates them. */
function movingLeft(previous: Screen, screen: Screen): Shape[] {
  return screen.shapes.filter(
    (shape) =>
      shape.kind === 'rect' &&
      shape.width >= WIDTH / 30 &&
      shape.width <= WIDTH / 2 &&
      shape.height >= 4 &&
      previous.shapes.some(
        (old) =>
          old.kind === 'rect' &&
          old.color === shape.color &&
          Math.abs(old.y - shape.y) < 0.01 &&
          Math.abs(old.width - shape.width) < 0.01 &&
          old.x - shape.x > 0.2 &&
          old.x - shape.x < 20,
      ),
  );
}

interface Gap {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

/** Gaps of the pairs of pipes, from left to right. */
function gaps(pipes: readonly Shape[]): Gap[] {
  const found: Gap[] = [];
  const upper = pipes.filter((pipe) => top(pipe) <= 2 && bottom(pipe) > 10);
  for (const pipe of upper) {
    const column = pipes.filter((other) => left(other) < right(pipe) && right(other) > left(pipe));
    const below = column.filter((other) => top(other) > bottom(pipe) + 30);
    if (below.length === 0) continue;
    // Caps hang over the ends of pipes.
    const edge = Math.max(...column.filter((other) => !below.includes(other)).map(bottom));
    found.push({ left: left(pipe), right: right(pipe), top: edge, bottom: Math.min(...below.map(top)) });
  }
  return found.sort((a, b) => a.left - b.left);
}

function gapAhead(pipes: readonly Shape[], birdLeft: number): Gap | undefined {
  return gaps(pipes).find((gap) => gap.right > birdLeft - 2);
}

function pipesMove(game: Game): void {
  const speeds: number[] = [];
  let entered = 0;
  let previous: Screen | undefined;
  fly(game, 360, 0.6, (screen) => {
    const pipes = previous ? movingLeft(previous, screen).filter(({ height }) => height > 40) : [];
    for (const pipe of pipes) {
      entered = Math.max(entered, right(pipe));
      const old = previous!.shapes.find(({ kind, color, y, x }) => {
        const step = x - pipe.x;
        return (
          kind === 'rect' && color === pipe.color && Math.abs(y - pipe.y) < 0.01 && step > 0.2 && step < 20
        );
      });
      if (old) speeds.push(old.x - pipe.x);
    }
    previous = screen;
    return speeds.length > 200;
  });
  game.assert(
    speeds.length > 20,
    'within 6 seconds no filled rectangles move left across the canvas: where are the pipes?',
  );
  game.assert(
    entered > WIDTH * 0.85,
    `pipes appear ${(WIDTH - entered).toFixed(0)} pixels inside the canvas, not at its right edge`,
  );
  const sorted = speeds.sort((a, b) => a - b);
  const middle = sorted[sorted.length >> 1]!;
  const steady = sorted.filter((speed) => Math.abs(speed - middle) < 0.25 * middle + 0.05).length;
  game.assert(steady > 0.9 * sorted.length, 'the pipes do not keep their speed');
}

function gapsVary(game: Game): void {
  const heights = new Set<number>();
  for (const seed of [1, 2, 3]) {
    game.restart(seed);
    let previous: Screen | undefined;
    fly(game, 420, 0.6, (screen, bird) => {
      const gap = previous && gapAhead(movingLeft(previous, screen), bird.x);
      previous = screen;
      if (gap === undefined || gap.right > WIDTH - 4) return false;
      const height = gap.bottom - gap.top;
      game.assert(
        height >= 100 && height <= 260,
        `a gap is ${height.toFixed(0)} pixels high: expected 140 to 220`,
      );
      heights.add(Math.round(gap.top));
      return true;
    });
  }
  game.assert(heights.size > 0, 'no pair of pipes with a gap between them was seen within 7 seconds');
  game.assert(
    heights.size > 1,
    'the first gap of three games is at the same height: expected random heights',
  );
}

/** Largest number shown apart from best scores. */
function shownScore({ texts }: Screen): number | undefined {
  const plain = texts.filter((text) => !/best|high/i.test(text));
  const found = numbers(plain);
  return found.length === 0 ? undefined : Math.max(...found);
}

function scores(game: Game): void {
  let reached = 0;
  let passedMost = 0;
  // Which height in the gap is safe depends on how far a push carries.
  for (const aim of [0.7, 0.6, 0.8, 0.5]) {
    game.restart(7);
    let previous: Screen | undefined;
    let passed = 0;
    let next: number | undefined;
    game.frames(2);
    game.assert(shownScore(game.screen()) === 0, 'the score 0 is not shown at the start');
    fly(game, 900, aim, (screen, bird) => {
      const pipes = previous ? movingLeft(previous, screen) : [];
      const ahead = gapAhead(pipes, bird.x - 40);
      if (ahead && next !== undefined && ahead.right > next + 60) passed++;
      next = ahead?.right ?? next;
      passedMost = Math.max(passedMost, passed);
      const score = shownScore(screen) ?? 0;
      reached = Math.max(reached, score);
      game.assert(score <= passed + 2, `the score is ${score} after ${passed} pairs of pipes`);
      previous = screen;
      return reached >= 2 || passed >= 4;
    });
    if (reached >= 2) return;
    if (passed >= 4) break;
  }
  game.assert(
    passedMost > 0,
    'a careful player does not get through the pipes: they are too close, or a gap is too small',
  );
  game.assert(false, `after ${passedMost} pairs of pipes were passed the score shows ${reached}`);
}

/** True when nothing but texts changes over ten frames. */
function standsStill(game: Game): boolean {
  const picture = () =>
    JSON.stringify(
      game
        .screen()
        .shapes.map(({ kind, x, y }) => (kind === 'text' ? 0 : [kind, Math.round(x), Math.round(y)])),
    );
  const before = picture();
  game.frames(10);
  return picture() === before;
}

function endsOnGround(game: Game): void {
  const bird = findBird(game);
  game.frames(240);
  const shape = keyedShapes(game.screen()).get(bird.key);
  if (shape) game.assert(bottom(shape) < HEIGHT + shape.height, 'the bird falls out of the canvas');
  game.assert(
    standsStill(game),
    'four seconds without input, and things still move: the ground should end the game',
  );
  const { texts } = game.screen();
  game.assert(
    texts.some((text) => /over|lost|lose|dead|crash/i.test(text)),
    `the end is not shown; texts: ${JSON.stringify(texts)}`,
  );
  game.assert(
    texts.some((text) => /best|high/i.test(text)),
    `the best score is not shown; texts: ${JSON.stringify(texts)}`,
  );
}

/** Keeps the bird at the top of the canvas or just above the ground, where a pipe is sure to come. */
function endsOnPipe(game: Game): void {
  const bird = findBird(game);
  let ended = false;
  for (let i = 0; i < 600 && !ended; i++) {
    const shape = keyedShapes(game.screen()).get(bird.key);
    if (shape && bottom(shape) > HEIGHT * 0.3) game.press('Space');
    else game.frames(1);
    ended = game.screen().texts.some((text) => /over|lost|lose|dead|crash/i.test(text));
    if (ended) {
      const last = keyedShapes(game.screen()).get(bird.key);
      game.assert(
        last === undefined || bottom(last) < HEIGHT * 0.8,
        'the game ended on the ground, not at a pipe',
      );
    }
  }
  game.assert(ended, 'the bird flew at the top for ten seconds, and no pipe ended the game');
}

function restarts(game: Game): void {
  const bird = findBird(game);
  const start = birdOn(game, game.screen(), bird).y;
  game.frames(240);
  game.assert(standsStill(game), 'without input the game does not end');
  game.press('Space');
  game.frames(5);
  const shape = keyedShapes(game.screen()).get(bird.key);
  const near = shape !== undefined && Math.abs(shape.y - start) < HEIGHT / 4;
  game.assert(near || !isOver(game), 'after the end the space bar does not start a new game');
  game.assert(!isOver(game), 'after the space bar "Game over" is still shown');
  game.assert(!standsStill(game), 'after the space bar nothing moves');
  game.assert(shownScore(game.screen()) === 0, 'a new game should start with the score 0');
}

function isOver(game: Game): boolean {
  return game.screen().texts.some((text) => /over|lost|lose|dead|crash/i.test(text));
}
