import type { Shape } from '../host/display-list.js';
import type { Screen } from '../host/window.js';
import { CheckFailure, type Game } from '../sandbox/game.js';
import { DEFAULT_LIMITS, type Task } from '../task.js';
import { hostRules } from './host-rules.js';
import { type Board, canMove, DIRECTIONS, type Direction, describeBoard, slide } from './rules-2048.js';

const WIDTH = 480;
const HEIGHT = 600;
const CELLS = 4;
/** Enough for a sliding animation to end. */
const MOVE_FRAMES = 14;

const PROMPT = `Write the game 2048.

- A board of 4 × 4 square cells fills the lower part of the canvas. Every cell is drawn as a filled square, all of the \
same size; a tile is a filled square of that size in the place of its cell, with its number (2, 4, 8, …) written with one \
fillText in its middle.
- The game starts with two tiles in random cells, each a 2 (nine times in ten) or a 4.
- An arrow key (keydown) slides all tiles as far as they go that way. Two tiles of the same number that meet become one of \
twice the number; a tile made by a move is not merged again in the same move, and of three equal tiles in a row the two \
that are furthest in the direction of the move merge.
- After a move that changed the board, one new tile (2 or 4, as above) appears in a random empty cell. A move that \
changes nothing adds nothing. Animations, if any, take at most 0.2 seconds.
- Above the board stands "Score: N", in one fillText: the sum of the numbers of all tiles made by merging, 0 at the start.
- When no move is left, "Game over" is shown. The R key starts a new game at any time, with the score at 0.

${hostRules(WIDTH, HEIGHT)}`;

export const GAME_2048: Task = {
  name: '2048',
  prompt: PROMPT,
  width: WIDTH,
  height: HEIGHT,
  limits: DEFAULT_LIMITS,
  checks: [
    { name: 'a board of 4 × 4 cells is drawn', points: 1, run: (game) => void findGrid(game) },
    { name: 'the game starts with two tiles, 2 or 4, in random cells', points: 1, run: starts },
    {
      name: 'tiles slide and merge by the rules',
      points: 3,
      run: (game) => followsRules(game, compareTiles),
    },
    {
      name: 'a move that changes the board adds one tile',
      points: 1,
      run: (game) => followsRules(game, compareNewTiles),
    },
    { name: 'a move that changes nothing adds nothing', points: 1, run: idleMoves },
    { name: 'the score counts merged tiles', points: 1, run: (game) => followsRules(game, compareScores) },
    { name: 'the end of the game is shown', points: 1, run: ends },
    { name: 'R starts a new game', points: 1, run: restarts },
  ],
};

interface Grid {
  /** Middles of columns and rows. */
  readonly columns: readonly number[];
  readonly rows: readonly number[];
  readonly size: number;
}

/** The cells: places of the largest squares that repeat in four columns and four rows. */
function gridIn({ shapes }: Screen): Grid | undefined {
  const squares = shapes.filter(
    ({ kind, paint, width, height }) =>
      kind === 'rect' &&
      paint === 'fill' &&
      width > 30 &&
      Math.abs(width - height) < 2 &&
      width < WIDTH / 3.5,
  );
  const sizes = [...new Set(squares.map(({ width }) => Math.round(width)))].sort((a, b) => b - a);
  for (const size of sizes) {
    const same = squares.filter(({ width }) => Math.abs(width - size) < 2);
    const [columns, rows] = [places(same.map(({ x }) => x)), places(same.map(({ y }) => y))];
    if (columns.length === CELLS && rows.length === CELLS) return { columns, rows, size };
  }
  return undefined;
}

/** Distinct values, those within four pixels taken for one. */
function places(values: readonly number[]): number[] {
  const found: number[] = [];
  for (const value of values.toSorted((a, b) => a - b)) {
    if (found.length === 0 || value - found.at(-1)! > 4) found.push(value);
  }
  return found;
}

function findGrid(game: Game): Grid {
  game.frames(MOVE_FRAMES);
  const grid = gridIn(game.screen());
  game.assert(grid, 'no 16 filled squares of one size in four columns and rows are drawn');
  return grid;
}

/** Numbers by row, 0 for empty cells. */
function readBoard(screen: Screen, { columns, rows, size }: Grid): Board {
  const texts = screen.shapes.filter((shape) => shape.kind === 'text' && /^\s*\d+\s*$/.test(shape.text!));
  return rows.map((y) =>
    columns.map((x) => {
      const inside = (shape: Shape) => Math.abs(shape.x - x) < size / 2 && Math.abs(shape.y - y) < size / 2;
      // What was drawn last lies on top.
      return Number(texts.findLast(inside)?.text ?? 0);
    }),
  );
}

function tilesOf(board: Board): number[] {
  return board.flat().filter((value) => value > 0);
}

function starts(game: Game): void {
  const boards = new Set<string>();
  for (const seed of [1, 2, 3, 4, 5]) {
    game.restart(seed);
    const board = readBoard(game.screen(), findGrid(game));
    const tiles = tilesOf(board);
    const fits = tiles.length === 2 && tiles.every((tile) => tile === 2 || tile === 4);
    game.assert(fits, `expected two tiles, each 2 or 4, found ${describeBoard(board)}`);
    boards.add(describeBoard(board.map((row) => row.map(Math.sign))));
  }
  game.assert(boards.size > 1, 'five games start with tiles in the same cells');
}

function move(game: Game, direction: Direction): void {
  game.press(direction);
  game.frames(MOVE_FRAMES);
}

interface Move {
  readonly direction: Direction;
  readonly before: Board;
  readonly after: Board;
  readonly scoreBefore: number | undefined;
  readonly scoreAfter: number | undefined;
}

/** Plays 50 moves in an order that reaches merges of all kinds, and has `compare` look at each. */
function followsRules(game: Game, compare: (move: Move) => void): void {
  game.restart(3);
  const grid = findGrid(game);
  let changed = 0;
  for (let i = 0; i < 50; i++) {
    // Mostly into one corner, so that tiles grow; now and then the other way.
    const direction = DIRECTIONS[i % 11 === 10 ? 3 : i % 7 === 6 ? 1 : i % 2 === 0 ? 0 : 2]!;
    const [before, scoreBefore] = [readBoard(game.screen(), grid), shownScore(game.screen())];
    if (!canMove(before)) break;
    move(game, direction);
    const [after, scoreAfter] = [readBoard(game.screen(), grid), shownScore(game.screen())];
    if (describeBoard(before) !== describeBoard(after)) changed++;
    compare({ direction, before, after, scoreBefore, scoreAfter });
  }
  game.assert(changed >= 10, `50 arrow keys changed the board ${changed} times`);
}

function compareTiles({ direction, before, after }: Move): void {
  const { board } = slide(before, direction);
  const kept = board.every((row, y) => row.every((value, x) => value === 0 || after[y]![x] === value));
  if (kept) return;
  throw new CheckFailure(
    `${direction} on ${describeBoard(before)} should give ${describeBoard(board)} and a new tile, found ${describeBoard(after)}`,
  );
}

function compareNewTiles({ direction, before, after }: Move): void {
  const { board } = slide(before, direction);
  if (describeBoard(board) === describeBoard(before)) return;
  const added = tilesOf(after).length - tilesOf(board).length;
  if (added !== 1) {
    throw new CheckFailure(
      `after ${direction} on ${describeBoard(before)} ${added} tiles appeared: expected one`,
    );
  }
  const fresh = after.flatMap((row, y) => row.filter((value, x) => board[y]![x] === 0 && value > 0));
  if (fresh.some((value) => value !== 2 && value !== 4)) {
    throw new CheckFailure(`a new tile is ${fresh.join(' and ')}: expected 2 or 4`);
  }
}

function compareScores({ direction, before, scoreBefore, scoreAfter }: Move): void {
  const { gained } = slide(before, direction);
  if (scoreBefore === undefined || scoreAfter === undefined) {
    throw new CheckFailure('no text "Score: N" is shown');
  }
  if (scoreAfter - scoreBefore !== gained) {
    throw new CheckFailure(
      `${direction} on ${describeBoard(before)} should add ${gained} to the score: it went from ${scoreBefore} to ${scoreAfter}`,
    );
  }
}

function shownScore({ texts }: Screen): number | undefined {
  const found = texts.map((text) => /score\D*(\d+)/i.exec(text)?.[1]).find((digits) => digits !== undefined);
  return found === undefined ? undefined : Number(found);
}

function idleMoves(game: Game): void {
  const grid = findGrid(game);
  let seen = 0;
  for (let i = 0; i < 40 && seen < 4; i++) {
    const before = readBoard(game.screen(), grid);
    const idle = DIRECTIONS.find(
      (direction) => describeBoard(slide(before, direction).board) === describeBoard(before),
    );
    if (idle === undefined) {
      move(game, DIRECTIONS[i % 2 === 0 ? 0 : 2]!);
      continue;
    }
    seen++;
    move(game, idle);
    const after = readBoard(game.screen(), grid);
    const same = describeBoard(after) === describeBoard(before);
    game.assert(
      same,
      `${idle} cannot change ${describeBoard(before)}, found ${describeBoard(after)} after it`,
    );
    move(game, DIRECTIONS.find((direction) => direction !== idle)!);
  }
  game.assert(seen > 0, 'in 40 moves every arrow key changed the board');
}

/** Plays until nothing can move. */
function ends(game: Game): void {
  game.restart(5);
  const grid = findGrid(game);
  game.assert(!isOver(game.screen()), 'the game is over at the start');
  for (let i = 0; i < 600; i++) {
    const board = readBoard(game.screen(), grid);
    if (!canMove(board)) {
      game.assert(
        isOver(game.screen()),
        `no move is left on ${describeBoard(board)}, but "Game over" is not shown`,
      );
      return;
    }
    // Round in circles: tiles do not grow much, so the board fills up soon.
    move(game, DIRECTIONS[[0, 2, 1, 3][i % 4]!]!);
  }
  throw new CheckFailure('600 moves in circles, and the board is not full');
}

function isOver({ texts }: Screen): boolean {
  return texts.some((text) => /over|lost|lose|no more moves/i.test(text));
}

function restarts(game: Game): void {
  const grid = findGrid(game);
  for (let i = 0; i < 12; i++) move(game, DIRECTIONS[i % 4]!);
  const played = tilesOf(readBoard(game.screen(), grid)).length;
  game.assert(played > 2, `after 12 arrow keys ${played} tiles are on the board`);
  move(game, 'r' as Direction);
  const board = readBoard(game.screen(), grid);
  game.assert(
    tilesOf(board).length === 2,
    `after R there should be two tiles, found ${describeBoard(board)}`,
  );
  game.assert(
    shownScore(game.screen()) === 0,
    `after R the score is ${shownScore(game.screen())}: expected 0`,
  );
}
