// A right heptagon of balls: what `cria evaluate tasks` is tested with.
const COUNT = 20;
const W = canvas.width;
const H = canvas.height;
const CX = W / 2;
const CY = H / 2;
const R = 290;
const BALL = 14;
const GRAVITY = 600;
const TURN = (2 * Math.PI) / 5;
const BOUNCE = 0.75;
const STEPS = 2;
const DT = 1 / 60 / STEPS;

let angle = 0;
const balls = [];
for (let i = 0; i < COUNT; i++) {
  // A spiral with room for each ball; the first is in the middle.
  const r = 8.5 * Math.sqrt(i) * 2;
  const a = i * 2.4;
  balls.push({
    x: CX + r * Math.cos(a),
    y: CY + r * Math.sin(a),
    vx: 0,
    vy: 0,
    turn: 0,
    spin: 0,
    color: `hsl(${i * 18}, 80%, 45%)`,
    number: i + 1,
  });
}

function corners() {
  return Array.from({ length: 7 }, (_, i) => {
    const a = angle + (i * 2 * Math.PI) / 7;
    return [CX + R * Math.cos(a), CY + R * Math.sin(a)];
  });
}

/** Friction at a contact: the surface's speed along it pulls on the ball and spins it. */
function rub(ball, nx, ny, surface) {
  const along = ball.vx * -ny + ball.vy * nx;
  const slip = along - surface - ball.spin * BALL;
  const pull = 0.15 * slip;
  ball.vx -= pull * -ny;
  ball.vy -= pull * nx;
  ball.spin += (1.5 * pull) / BALL;
}

function collideWalls(ball, points) {
  if (Math.hypot(ball.x - CX, ball.y - CY) < R * Math.cos(Math.PI / 7) - BALL) return;
  for (let i = 0; i < 7; i++) {
    const [ax, ay] = points[i];
    const [bx, by] = points[(i + 1) % 7];
    const length = Math.hypot(bx - ax, by - ay);
    // Inward normal: corners go round clockwise on the screen.
    const nx = -(by - ay) / length;
    const ny = (bx - ax) / length;
    const depth = BALL - ((ball.x - ax) * nx + (ball.y - ay) * ny);
    if (depth <= 0) continue;
    ball.x += nx * depth;
    ball.y += ny * depth;
    const wallX = -TURN * (ball.y - CY);
    const wallY = TURN * (ball.x - CX);
    const into = (ball.vx - wallX) * nx + (ball.vy - wallY) * ny;
    if (into < 0) {
      ball.vx -= (1 + BOUNCE) * into * nx;
      ball.vy -= (1 + BOUNCE) * into * ny;
    }
    rub(ball, nx, ny, wallX * -ny + wallY * nx);
  }
}

function collideBalls(a, b) {
  const dx = b.x - a.x;
  const dy = b.y - a.y;
  if (dx * dx + dy * dy >= 4 * BALL * BALL) return;
  const d = Math.hypot(dx, dy) || 1e-9;
  const depth = 2 * BALL - d;
  const nx = dx / d;
  const ny = dy / d;
  a.x -= (nx * depth) / 2;
  a.y -= (ny * depth) / 2;
  b.x += (nx * depth) / 2;
  b.y += (ny * depth) / 2;
  const closing = (b.vx - a.vx) * nx + (b.vy - a.vy) * ny;
  if (closing < 0) {
    const push = (-(1 + BOUNCE) * closing) / 2;
    a.vx -= push * nx;
    a.vy -= push * ny;
    b.vx += push * nx;
    b.vy += push * ny;
  }
}

function step() {
  angle += TURN * DT;
  for (const ball of balls) {
    ball.vy += GRAVITY * DT;
    ball.vx *= 0.9995;
    ball.vy *= 0.9995;
    ball.x += ball.vx * DT;
    ball.y += ball.vy * DT;
    ball.turn += ball.spin * DT;
  }
  for (let i = 0; i < COUNT; i++) {
    for (let j = i + 1; j < COUNT; j++) collideBalls(balls[i], balls[j]);
  }
  const points = corners();
  for (const ball of balls) collideWalls(ball, points);
}

function draw() {
  ctx.clearRect(0, 0, W, H);
  ctx.strokeStyle = '#333';
  ctx.lineWidth = 3;
  ctx.beginPath();
  corners().forEach(([x, y], i) => {
    if (i === 0) ctx.moveTo(x, y);
    else ctx.lineTo(x, y);
  });
  ctx.closePath();
  ctx.stroke();
  for (const ball of balls) {
    ctx.save();
    ctx.translate(ball.x, ball.y);
    ctx.rotate(ball.turn);
    ctx.fillStyle = ball.color;
    ctx.beginPath();
    ctx.arc(0, 0, BALL, 0, 2 * Math.PI);
    ctx.fill();
    ctx.fillStyle = 'white';
    ctx.font = 'bold 12px sans-serif';
    ctx.textAlign = 'center';
    ctx.textBaseline = 'middle';
    if (COUNT > 1) ctx.fillText(ball.number, 0, 0);
    ctx.restore();
  }
}

function frame() {
  for (let i = 0; i < STEPS; i++) step();
  draw();
  requestAnimationFrame(frame);
}
requestAnimationFrame(frame);
