import { describe, expect, it } from 'vitest';
import { runChecks } from './run-checks.js';
import { DEFAULT_CANVAS, DEFAULT_LIMITS, type FileCheck, type Task } from './task.js';

function taskOf(checks: readonly Omit<FileCheck, 'points'>[], limits = DEFAULT_LIMITS): Task {
  const withPoints = checks.map((check) => ({ ...check, points: 1 }));
  return { name: 'test', prompt: '', ...DEFAULT_CANVAS, limits, checks: withPoints };
}

const run = (code: string, task: Task, signal?: AbortSignal) =>
  runChecks({ scripts: [{ code, file: 'program.js' }], elements: [] }, task, signal);

/** Runs `program` and one check; what the check says, or undefined when it passed. */
async function checked(program: string, check: string): Promise<string | undefined> {
  const results = await run(program, taskOf([{ name: 'check', code: check }]));
  expect(results[0]).toMatchObject({ passed: true });
  return results[1]!.message;
}

describe('runChecks', () => {
  it('runs functions, clocks, keys and drawing', async () => {
    const program = `
      function fib(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
      let x = 0;
      const text = () => ctx.fillText('x is ' + x, 10, 20);
      document.addEventListener('keydown', (e) => { if (e.code === 'ArrowRight') x += 10; });
      canvas.onclick = (e) => { x = e.offsetX; };
      setTimeout(() => console.log('later', { x }), 100);
      (function frame() {
        ctx.fillStyle = 'white'; ctx.fillRect(0, 0, canvas.width, canvas.height);
        ctx.fillStyle = 'red'; ctx.fillRect(x, 50, 20, 10); text();
        requestAnimationFrame(frame);
      })();`;
    const check = `
      equal(game.value('fib(15)'), 610, 'fib(15)');
      equal(game.value('({ a: [1] })'), { a: [1] });
      game.frames(10); equal(game.output(), ['later {"x":0}']);
      game.press('ArrowRight'); game.frames();
      const red = game.screen().shapes.filter(({ kind, color }) => kind === 'rect' && color === 'red');
      equal(red.length, 1, 'red shapes'); equal([red[0].x, red[0].y, red[0].width], [20, 55, 20]);
      equal(game.screen().texts, ['x is 10']);
      game.click(33, 5); game.frames(2); assert(game.value('x') === 33, 'click');
      let seen = 0; game.frames(100, () => ++seen === 3); equal(seen, 3);
      game.restart(5); equal(game.value('x'), 0);`;
    expect(await checked(program, check)).toBeUndefined();
  });

  it('repeats a run with the same seed, and not with another', async () => {
    const check = `
      const draw = (seed) => { game.restart(seed); return game.value('[Math.random(), Math.random(), Date.now(), performance.now()]'); };
      equal(draw(1), draw(1)); assert(draw(1)[0] !== draw(2)[0]);
      const many = game.value('Array.from({ length: 1000 }, Math.random)');
      assert(many.every((x) => x >= 0 && x < 1)); assert(Math.abs(many.reduce((a, b) => a + b) / 1000 - 0.5) < 0.05);`;
    expect(await checked('', check)).toBeUndefined();
  });

  it('says where a program throws, at the start, in callbacks and in what a check asks for', async () => {
    const [start, skipped] = await run('let a = 1;\nmissing();', taskOf([{ name: 'c', code: '' }]));
    expect(start).toMatchObject({
      passed: false,
      message: expect.stringMatching(/ReferenceError.*program\.js:2/),
    });
    expect(skipped).toMatchObject({ passed: false, message: 'not checked: the program does not run' });
    const syntax = await run('let a = ;', taskOf([]));
    expect(syntax[0]!.message).toMatch(/SyntaxError.*program\.js:1/);
    const program = 'function hit() {\n  null.x;\n}\naddEventListener("keydown", hit);';
    expect(await checked(program, "try { game.press('a'); } catch {}")).toMatch(
      /TypeError: .* at hit \(program\.js:2/,
    );
    expect(await checked('', "equal(1, 2, 'sum')")).toBe('sum: expected 2, found 1');
    expect(await checked('', 'nothing.here')).toMatch(/ReferenceError.*in the check itself/);
  });

  it('stops what programs must not do', async () => {
    const cases: [code: string, message: RegExp][] = [
      ['import("fs"); require("fs")', /ReferenceError: .*require/],
      ['process.exit()', /ReferenceError: .*process/],
      ['fetch("http://localhost")', /ReferenceError: .*fetch/],
      ['new WebSocket("ws://localhost")', /ReferenceError/],
      ['new Worker("x.js")', /ReferenceError/],
      ['WebAssembly.Module', /ReferenceError/],
      ['console.log.constructor.constructor("return process")()', /ReferenceError: .*process/],
      ['canvas.getContext.constructor("return process")()', /ReferenceError: .*process/],
      ['(function f() { return f() + 1; })()', /stack overflow/],
      ['JSON.parse("[".repeat(1e6))', /stack overflow|SyntaxError/],
      ['let h = []; for (let i = 0; i < 1e5; i++) h = [h]; h.flat(Infinity)', /stack overflow/],
      ['const all = []; for (;;) all.push(new Array(1000).fill(7));', /out of memory/],
      ['const all = []; for (;;) all.push(new Uint8Array(1e6));', /out of memory/],
      ['let s = "x"; for (;;) s += s;', /out of memory|string too long/],
      ['for (;;) ctx.lineTo(1, 1);', /RangeError: a path has more/],
      ['for (;;) ctx.save();', /RangeError: save/],
      ['for (;;) setTimeout(() => {});', /RangeError: more than/],
    ];
    const run1 = (code: string) => `game.value(${JSON.stringify(`eval(${JSON.stringify(code)})`)});`;
    const checks = cases.map(([code]) => ({ name: code, code: run1(code) }));
    const [, ...results] = await run('', taskOf(checks));
    cases.forEach(([name, message], i) => {
      expect(results[i]).toMatchObject({ name, passed: false, message: expect.stringMatching(message) });
    });
  });

  it('knows no modules', async () => {
    const [start] = await run('import fs from "fs";', taskOf([]));
    expect(start).toMatchObject({ passed: false, message: expect.stringMatching(/module 'fs'/) });
  });

  it.each([
    ['at the start', 'for (;;);'],
    ['that catches', 'for (;;) { try { for (;;); } catch {} finally { continue; } }'],
    ['in a frame', 'requestAnimationFrame(() => { for (;;); });'],
    ['in a pattern', '/(a+)+b/.test("a".repeat(40));'],
    ['in promises', '(function again() { Promise.resolve().then(again); })();'],
  ])('ends a loop %s', async (_, code) => {
    const limits = { ...DEFAULT_LIMITS, seconds: 0.4 };
    const results = await run(code, taskOf([{ name: 'c', code: 'game.frames(5)' }], limits));
    expect(results.map(({ passed }) => passed)).toEqual([false, false]);
    expect(results[0]!.message).toMatch(/time limit/);
  });

  it('ends a check that loops', async () => {
    const limits = { ...DEFAULT_LIMITS, seconds: 0.4 };
    const results = await run('', taskOf([{ name: 'c', code: 'for (;;);' }], limits));
    const message = expect.stringMatching(/time limit/);
    expect(results).toContainEqual(expect.objectContaining({ passed: false, message }));
  });

  it('outlives programs that meddle with what they are given', async () => {
    const programs = [
      'Array.prototype.push = Array.prototype.filter = () => { throw 1; };',
      'Object.prototype.toJSON = () => "gotcha"; JSON.stringify = JSON.parse = null;',
      'Object.defineProperty(Object.prototype, "do", { get() { throw 1; } });',
      'Map.prototype.get = Set.prototype.has = Function.prototype.call = null; globalThis.document = null;',
      'Object.freeze(globalThis); Math.random = null;',
    ];
    const meddle = (code: string) => `game.value(${JSON.stringify(`void eval(${JSON.stringify(code)})`)});`;
    const checks = programs.map((name) => ({ name, code: `${meddle(name)} game.frames(2); game.screen();` }));
    const results = await run('ctx.fillRect(1, 1, 5, 5);', taskOf([...checks, { name: 'last', code: '' }]));
    expect(results).toHaveLength(programs.length + 2);
    expect(results.at(-1)).toMatchObject({ name: 'last', passed: true });
  });

  it('keeps what is written short', async () => {
    const check =
      "assert(game.output().join('').length < 70000); equal(game.screen().texts.length <= 5000, true)";
    const program =
      'for (let i = 0; i < 6000; i++) { console.log("x".repeat(300)); ctx.fillText("y".repeat(999), 1, 1); }';
    expect(await checked(program, check)).toBeUndefined();
  });

  it('can be stopped', async () => {
    const stop = new AbortController();
    const running = run('for (;;);', taskOf([]), stop.signal);
    stop.abort();
    await expect(running).rejects.toMatchObject({ kind: 'cancelled' });
  });
});
