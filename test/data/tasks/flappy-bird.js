// A right Flappy Bird: what `cria evaluate tasks` is tested with.
const W = canvas.width;
const H = canvas.height;
const GROUND = 60;
const PIPE_WIDTH = 64;
const GAP = 180;
const SPACING = 260;
const SPEED = 2.6;
const GRAVITY = 0.42;
const PUSH = -7.2;
const RADIUS = 14;
const birdX = 120;
const birdColor = ['#7a1f1f', '#1f3f7a', '#2f5a1f'][Math.floor(Math.random() * 3)];

let y, velocity, pipes, score, over;
let best = 0;

function start() {
  y = H / 2;
  velocity = 0;
  score = 0;
  over = false;
  pipes = [];
  for (let i = 0; i < 3; i++) pipes.push(newPipe(W + 40 + i * SPACING));
}

function newPipe(x) {
  const room = H - GROUND - GAP - 120;
  return { x, top: 60 + Math.random() * room, passed: false };
}

function push() {
  if (over) start();
  else velocity = Math.max(velocity - 6, 0) + PUSH - (velocity < 0 ? 1.5 : 0);
}

document.addEventListener('keydown', (event) => {
  if (event.code === 'Space' && !event.repeat) {
    event.preventDefault();
    push();
  }
});
canvas.addEventListener('mousedown', push);

function step() {
  velocity += GRAVITY;
  y += velocity;
  if (y < RADIUS) {
    y = RADIUS;
    velocity = 0;
  }
  for (const pipe of pipes) {
    pipe.x -= SPEED;
    if (!pipe.passed && pipe.x + PIPE_WIDTH < birdX - RADIUS) {
      pipe.passed = true;
      score += 1;
    }
    const near = birdX + RADIUS > pipe.x && birdX - RADIUS < pipe.x + PIPE_WIDTH;
    if (near && (y - RADIUS < pipe.top || y + RADIUS > pipe.top + GAP)) end();
  }
  if (pipes[0].x < -PIPE_WIDTH) {
    pipes.shift();
    pipes.push(newPipe(pipes[pipes.length - 1].x + SPACING));
  }
  if (y + RADIUS > H - GROUND) {
    y = H - GROUND - RADIUS;
    end();
  }
}

function end() {
  over = true;
  best = Math.max(best, score);
}

function draw() {
  ctx.fillStyle = '#bfe6ff';
  ctx.fillRect(0, 0, W, H);
  ctx.fillStyle = '#1f6f2f';
  for (const { x, top } of pipes) {
    ctx.fillRect(x, 0, PIPE_WIDTH, top);
    ctx.fillRect(x, top + GAP, PIPE_WIDTH, H - GROUND - top - GAP);
  }
  ctx.fillStyle = '#8a5a2b';
  ctx.fillRect(0, H - GROUND, W, GROUND);
  ctx.fillStyle = birdColor;
  ctx.beginPath();
  ctx.arc(birdX, y, RADIUS, 0, Math.PI * 2);
  ctx.fill();
  ctx.fillStyle = '#222';
  ctx.font = '28px sans-serif';
  ctx.textAlign = 'right';
  ctx.fillText(String(score), W - 16, 40);
  if (over) {
    ctx.textAlign = 'center';
    ctx.fillText('Game over', W / 2, H / 2 - 20);
    ctx.fillText(`Best: ${best}`, W / 2, H / 2 + 20);
  }
}

function frame() {
  if (!over) step();
  draw();
  requestAnimationFrame(frame);
}

start();
requestAnimationFrame(frame);
