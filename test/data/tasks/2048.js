// A right 2048: what `cria evaluate tasks` is tested with.
const SIZE = 4;
const CELL = 100;
const SPACE = 12;
const LEFT = 16;
const TOP = 130;
const COLORS = { 0: '#cdc1b4', 2: '#eee4da', 4: '#ede0c8', 8: '#f2b179', 16: '#f59563', 32: '#f67c5f' };

let board;
let score;
let over;

function addTile() {
  const empty = [];
  for (let r = 0; r < SIZE; r++) for (let c = 0; c < SIZE; c++) if (board[r][c] === 0) empty.push([r, c]);
  const [r, c] = empty[Math.floor(Math.random() * empty.length)];
  board[r][c] = Math.random() < 0.9 ? 2 : 4;
}

function start() {
  board = Array.from({ length: SIZE }, () => Array(SIZE).fill(0));
  score = 0;
  over = false;
  addTile();
  addTile();
}

/** The cells of line `i` in the order in which a move comes upon them. */
function cells(direction, i) {
  const line = [];
  for (let j = 0; j < SIZE; j++) {
    const k = direction === 'ArrowRight' || direction === 'ArrowDown' ? SIZE - 1 - j : j;
    line.push(direction === 'ArrowLeft' || direction === 'ArrowRight' ? [i, k] : [k, i]);
  }
  return line;
}

function move(direction) {
  let changed = false;
  let gained = 0;
  for (let i = 0; i < SIZE; i++) {
    const line = cells(direction, i);
    const values = line.map(([r, c]) => board[r][c]).filter((v) => v > 0);
    for (let j = 0; j + 1 < values.length; j++) {
      if (values[j] === values[j + 1]) {
        values[j] *= 2;
        gained += values[j];
        values.splice(j + 1, 1);
      }
    }
    line.forEach(([r, c], j) => {
      const value = values[j] || 0;
      if (board[r][c] !== value) changed = true;
      board[r][c] = value;
    });
  }
  score += gained;
  if (changed) addTile();
  over = !canMove();
}

function canMove() {
  for (let r = 0; r < SIZE; r++) {
    for (let c = 0; c < SIZE; c++) {
      const v = board[r][c];
      if (v === 0 || (r + 1 < SIZE && board[r + 1][c] === v) || (c + 1 < SIZE && board[r][c + 1] === v)) return true;
    }
  }
  return false;
}

window.addEventListener('keydown', (event) => {
  if (event.key.startsWith('Arrow')) {
    event.preventDefault();
    move(event.key);
  } else if (event.key.toLowerCase() === 'r') {
    start();
  }
  draw();
});

function draw() {
  ctx.fillStyle = '#faf8ef';
  ctx.fillRect(0, 0, canvas.width, canvas.height);
  ctx.fillStyle = '#776e65';
  ctx.textAlign = 'left';
  ctx.font = '28px sans-serif';
  ctx.fillText(`Score: ${score}`, LEFT, 60);
  if (over) ctx.fillText('Game over', LEFT, 100);
  ctx.textAlign = 'center';
  ctx.textBaseline = 'middle';
  for (let r = 0; r < SIZE; r++) {
    for (let c = 0; c < SIZE; c++) {
      const value = board[r][c];
      const x = LEFT + c * (CELL + SPACE);
      const y = TOP + r * (CELL + SPACE);
      ctx.fillStyle = COLORS[value] || '#edc22e';
      ctx.fillRect(x, y, CELL, CELL);
      if (value) {
        ctx.fillStyle = '#554';
        ctx.fillText(value, x + CELL / 2, y + CELL / 2);
      }
    }
  }
  ctx.textBaseline = 'alphabetic';
}

start();
draw();
