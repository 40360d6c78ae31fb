/** Numbers by row, 0 for empty cells. */
export type Board = readonly (readonly number[])[];

export const DIRECTIONS = ['ArrowLeft', 'ArrowRight', 'ArrowUp', 'ArrowDown'] as const;
export type Direction = (typeof DIRECTIONS)[number];

/** What a move makes of a board, before the new tile, and what it adds to the score. */
export function slide(board: Board, direction: Direction): { board: Board; gained: number } {
  const isVertical = direction === 'ArrowUp' || direction === 'ArrowDown';
  const isBackwards = direction === 'ArrowRight' || direction === 'ArrowDown';
  let gained = 0;
  const lines = (isVertical ? transpose(board) : board).map((line) => {
    const moved = slideLine(isBackwards ? line.toReversed() : line);
    gained += moved.gained;
    return isBackwards ? moved.line.toReversed() : moved.line;
  });
  return { board: isVertical ? transpose(lines) : lines, gained };
}

/** Towards the beginning of the line. */
function slideLine(line: readonly number[]): { line: number[]; gained: number } {
  const tiles = line.filter((value) => value > 0);
  const moved: number[] = [];
  let gained = 0;
  for (let i = 0; i < tiles.length; i++) {
    if (tiles[i] === tiles[i + 1]) {
      moved.push(2 * tiles[i]!);
      gained += 2 * tiles[i]!;
      i++;
    } else {
      moved.push(tiles[i]!);
    }
  }
  return { line: [...moved, ...new Array<number>(line.length - moved.length).fill(0)], gained };
}

function transpose(board: Board): Board {
  return board.map((_, x) => board.map((row) => row[x]!));
}

export function canMove(board: Board): boolean {
  return DIRECTIONS.some(
    (direction) => describeBoard(slide(board, direction).board) !== describeBoard(board),
  );
}

/** `2 . . 4 | . . . . | …` */
export function describeBoard(board: Board): string {
  return board.map((row) => row.map((value) => value || '.').join(' ')).join(' | ');
}
