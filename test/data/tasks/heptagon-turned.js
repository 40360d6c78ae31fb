// A right heptagon in other words: the canvas is turned instead of its corners, balls are spheres with gradients.
const balls = Array.from({ length: 20 }, (_, i) => ({
  p: { x: ((i % 5) - 2) * 40 + (i >> 2) * 0.7, y: ((i / 5) | 0) * 40 - 60 },
  v: { x: 0, y: 0 },
  a: 0,
  w: 0,
}));
const side = 270 * Math.cos(Math.PI / 7);
const r = 15;
let turn = 0;

function advance(dt) {
  turn -= dt * ((Math.PI * 2) / 5);
  for (const b of balls) {
    b.v.y += 500 * dt;
    b.p.x += b.v.x * dt;
    b.p.y += b.v.y * dt;
    b.a += b.w * dt;
    for (let k = 0; k < 7; k++) {
      const angle = turn + ((k + 0.5) * 2 * Math.PI) / 7;
      const n = { x: Math.cos(angle), y: Math.sin(angle) };
      const over = b.p.x * n.x + b.p.y * n.y + r - side;
      if (over <= 0) continue;
      b.p.x -= n.x * over;
      b.p.y -= n.y * over;
      const out = b.v.x * n.x + b.v.y * n.y;
      if (out > 0) {
        b.v.x -= 1.7 * out * n.x;
        b.v.y -= 1.7 * out * n.y;
      }
      const along = -b.v.x * n.y + b.v.y * n.x;
      b.w = 0.9 * b.w - (0.1 * along) / r;
    }
  }
  for (let i = 0; i < 20; i++) {
    for (let j = 0; j < i; j++) {
      const [p, q] = [balls[i], balls[j]];
      const d = { x: q.p.x - p.p.x, y: q.p.y - p.p.y };
      const square = d.x * d.x + d.y * d.y;
      if (square >= 4 * r * r || square === 0) continue;
      const length = Math.sqrt(square);
      const n = { x: d.x / length, y: d.y / length };
      const half = r - length / 2;
      p.p.x -= n.x * half;
      p.p.y -= n.y * half;
      q.p.x += n.x * half;
      q.p.y += n.y * half;
      const speed = (p.v.x - q.v.x) * n.x + (p.v.y - q.v.y) * n.y;
      if (speed <= 0) continue;
      p.v.x -= 0.85 * speed * n.x;
      p.v.y -= 0.85 * speed * n.y;
      q.v.x += 0.85 * speed * n.x;
      q.v.y += 0.85 * speed * n.y;
    }
  }
}

function render() {
  ctx.setTransform(1, 0, 0, 1, 0, 0);
  ctx.fillStyle = 'black';
  ctx.fillRect(0, 0, 640, 640);
  ctx.translate(320, 320);
  ctx.save();
  ctx.rotate(turn);
  ctx.strokeStyle = 'white';
  ctx.beginPath();
  for (let k = 0; k <= 7; k++) ctx.lineTo(270 * Math.cos((k * 2 * Math.PI) / 7), 270 * Math.sin((k * 2 * Math.PI) / 7));
  ctx.stroke();
  ctx.restore();
  balls.forEach((b, i) => {
    ctx.save();
    ctx.translate(b.p.x, b.p.y);
    const shine = ctx.createRadialGradient(-4, -4, 1, 0, 0, r);
    shine.addColorStop(0, 'white');
    shine.addColorStop(1, `hsl(${i * 18} 90% 50%)`);
    ctx.fillStyle = shine;
    ctx.beginPath();
    ctx.arc(0, 0, r, 0, 7);
    ctx.fill();
    ctx.rotate(b.a);
    ctx.fillStyle = '#000';
    ctx.textAlign = 'center';
    ctx.fillText(`${i + 1}`, 0, 4);
    ctx.restore();
  });
}

let before;
requestAnimationFrame(function tick(now) {
  if (before !== undefined) for (let i = 0; i < 2; i++) advance((now - before) / 2000);
  before = now;
  render();
  requestAnimationFrame(tick);
});
