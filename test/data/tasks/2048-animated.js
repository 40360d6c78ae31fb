// A right 2048 in other words: one list of tiles, rounded squares, tiles that slide in 0.12 seconds.
(() => {
  'use strict';
  const el = document.querySelector('canvas');
  const g = el.getContext('2d');
  const at = (i) => 20 + i * 111;
  let tiles = [];
  let points = 0;
  let animating = 0;

  const find = (x, y) => tiles.find((t) => t.x === x && t.y === y && !t.dead);
  function spawn() {
    const free = [];
    for (let n = 0; n < 16; n++) if (!find(n % 4, n >> 2)) free.push(n);
    const n = free[(Math.random() * free.length) | 0];
    tiles.push({ x: n % 4, y: n >> 2, fromX: n % 4, fromY: n >> 2, value: Math.random() < 0.1 ? 4 : 2 });
  }
  function begin() {
    tiles = [];
    points = 0;
    spawn();
    spawn();
  }
  function shift(dx, dy) {
    tiles = tiles.filter((t) => !t.dead);
    for (const t of tiles) {
      t.fromX = t.x;
      t.fromY = t.y;
      t.merged = false;
    }
    let moved = false;
    const order = [...tiles].sort((a, b) => dx * (b.x - a.x) + dy * (b.y - a.y));
    for (const t of order) {
      for (;;) {
        const x = t.x + dx;
        const y = t.y + dy;
        if (x < 0 || y < 0 || x > 3 || y > 3) break;
        const other = find(x, y);
        if (other && (other.value !== t.value || other.merged || t.merged)) break;
        moved = true;
        if (other) {
          other.dead = true;
          t.value *= 2;
          t.merged = true;
          points += t.value;
        }
        t.x = x;
        t.y = y;
      }
    }
    if (!moved) return;
    spawn();
    animating = performance.now();
  }
  function stuck() {
    const live = tiles.filter((t) => !t.dead);
    if (live.length < 16) return false;
    return live.every((t) => ![[1, 0], [0, 1]].some(([dx, dy]) => find(t.x + dx, t.y + dy)?.value === t.value));
  }

  addEventListener('keydown', (e) => {
    switch (e.keyCode) {
      case 37: shift(-1, 0); break;
      case 38: shift(0, -1); break;
      case 39: shift(1, 0); break;
      case 40: shift(0, 1); break;
      case 82: begin(); break;
    }
  });

  function box(x, y, color) {
    g.fillStyle = color;
    g.beginPath();
    g.roundRect(x, 140 + y, 104, 104, 8);
    g.fill();
  }
  function loop() {
    const share = Math.min(1, (performance.now() - animating) / 120);
    g.fillStyle = '#bbada0';
    g.fillRect(0, 0, el.width, el.height);
    for (let n = 0; n < 16; n++) box(at(n % 4), at(n >> 2) - 20, '#cdc1b4');
    for (const t of tiles) {
      if (t.dead) continue;
      const x = at(t.fromX + (t.x - t.fromX) * share);
      const y = at(t.fromY + (t.y - t.fromY) * share) - 20;
      box(x, y, `hsl(40, ${20 + 8 * Math.log2(t.value)}%, 60%)`);
      g.fillStyle = '#333';
      g.textAlign = 'center';
      g.textBaseline = 'middle';
      g.font = 'bold 36px "Clear Sans", Arial';
      g.fillText(`${t.value}`, x + 52, 140 + y + 54);
    }
    g.textAlign = 'start';
    g.fillText('Score: ' + points, 20, 60);
    if (stuck()) g.fillText('Game over! Press R', 20, 110);
    requestAnimationFrame(loop);
  }
  begin();
  loop();
})();
