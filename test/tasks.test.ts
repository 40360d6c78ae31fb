import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { BUILT_IN_TASKS, extractProgram, runChecks } from '../src/evaluate/tasks/index.js';
import { NANO_SCOUT } from './golden.js';

const CRIA = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
const programs = new Map<string, string>();
/** Right programs of another style, and the tasks they are answers to. */
const OTHER_WORDS: Readonly<Record<string, string>> = {
  'flappy-bird.html': 'flappy-bird',
  'heptagon-turned.js': 'heptagon',
  '2048-animated.js': '2048',
};
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cria-tasks-'));
  const read = (file: string) => readFile(new URL(`data/tasks/${file}`, import.meta.url), 'utf8');
  for (const name of ['flappy-bird', 'heptagon', '2048']) programs.set(name, await read(`${name}.js`));
  for (const file of Object.keys(OTHER_WORDS)) programs.set(file, await read(file));
  programs.set('heptagon-ball', programs.get('heptagon')!.replace('COUNT = 20', 'COUNT = 1'));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

/** Those of the checks named by `expected`, or of all, that a program fails; `changes` break a right one. */
async function failing(
  name: string,
  expected: RegExp,
  ...changes: readonly [from: string, to: string][]
): Promise<string[]> {
  let code = programs.get(name)!;
  for (const [from, to] of changes) {
    expect(code).toContain(from);
    code = code.replace(from, to);
  }
  const task = BUILT_IN_TASKS.find((one) => one.name === (OTHER_WORDS[name] ?? name))!;
  const checks = task.checks.filter((check) => expected.test(check.name));
  expect(checks.length).toBeGreaterThan(0);
  const { program } = extractProgram(`\`\`\`\n${code}\n\`\`\``);
  const [start, ...results] = await runChecks(program!, { ...task, checks });
  expect(start).toMatchObject({ passed: true });
  expect(results).toHaveLength(checks.length);
  return results.filter(({ passed }) => !passed).map((check) => `${check.name}: ${check.message}`);
}

describe('the games', () => {
  // Of `heptagon` the other program passes every check: twenty balls take seconds.
  it.each(['flappy-bird', 'heptagon-ball', '2048'])(
    '%s: a right program passes every check',
    async (name) => {
      expect(await failing(name, /./)).toEqual([]);
    },
  );

  it.each([
    ['flappy-bird.html', /./],
    ['heptagon-turned.js', /./],
    ['2048-animated.js', /board of|starts with|slide|adds nothing/],
  ])('%s: right in other words', async (file, checks) => {
    expect(await failing(file, checks)).toEqual([]);
  });

  it.each<[game: string, what: string, from: string, to: string, check: RegExp]>([
    ['flappy-bird', 'no gravity', 'GRAVITY = 0.42', 'GRAVITY = 0', /^the bird falls/],
    ['flappy-bird', 'no keys', "event.code === 'Space'", "event.code === 'KeyX'", /^the space bar lifts/],
    ['flappy-bird', 'no clicks', "'mousedown'", "'wheel'", /^a click lifts/],
    ['flappy-bird', 'pipes that stand', 'pipe.x -= SPEED', 'pipe.x -= 0', /^pipes come from the right/],
    ['flappy-bird', 'pipes that go through', 'if (near &&', 'if (false &&', /^a pipe ends the game/],
    ['flappy-bird', 'gaps at one height', 'Math.random() * room', '0.5 * room', /random heights/],
    ['flappy-bird', 'no score', 'score += 1', 'score += 0', /^passing pipes counts/],
    ['flappy-bird', 'no ground', 'if (y + RADIUS > H - GROUND)', 'if (false)', /^the ground ends/],
    ['flappy-bird', 'no restart', 'if (over) start();', 'if (over) return;', /^the space bar starts/],
    ['heptagon-ball', 'a hexagon', 'length: 7 }', 'length: 6 }', /^a regular heptagon/],
    ['heptagon-ball', 'a heptagon at rest', 'angle += TURN * DT', 'angle += 0', /^it turns once/],
    ['heptagon-ball', 'no gravity', 'GRAVITY = 600', 'GRAVITY = 0', /^gravity/],
    ['heptagon-ball', 'no walls', '    if (depth <= 0) continue;', '    continue;', /^balls stay inside/],
    ['heptagon-ball', 'no bounce', 'BOUNCE = 0.75', 'BOUNCE = -0.99', /^balls bounce/],
    [
      'heptagon',
      'balls that go through',
      'collideBalls(balls[i], balls[j])',
      '{}',
      /^balls do not go through/,
    ],
    ['heptagon', 'numbers that stand', 'ctx.rotate(ball.turn)', '', /^numbers turn/],
    ['heptagon', 'one number', 'fillText(ball.number', 'fillText(7', /^balls carry their numbers/],
    [
      '2048',
      'three tiles',
      '  addTile();\n  addTile();',
      '  addTile();\n  addTile();\n  addTile();',
      /^the game starts/,
    ],
    ['2048', 'merging twice', 'values.splice(j + 1, 1);', 'values.splice(j + 1, 1); j -= 1;', /^tiles slide/],
    ['2048', 'merging from the wrong end', "direction === 'ArrowRight' ||", '', /^tiles slide and merge/],
    ['2048', 'no new tile', 'if (changed) addTile();', '', /adds one tile/],
    [
      '2048',
      'new tiles without a move',
      'if (changed) addTile();',
      'if (gained === 0) addTile();',
      /changes nothing/,
    ],
    ['2048', 'a wrong score', 'score += gained', 'score += 1', /^the score/],
    ['2048', 'no end', "if (over) ctx.fillText('Game over', LEFT, 100);", '', /^the end of the game/],
    ['2048', 'no R', "=== 'r'", "=== 'q'", /^R starts/],
  ])('%s: %s: noticed', async (game, _, from, to, check) => {
    expect(await failing(game, check, [from, to])).toHaveLength(1);
  });
});

interface Asked {
  readonly key: string | undefined;
  readonly body: {
    model: string;
    messages: { role: string; content: string }[];
    seed: number;
    temperature: number;
  };
}

type Answer = { readonly status?: number; readonly headers?: Record<string, string>; readonly body: unknown };

describe('cria evaluate tasks', () => {
  let server: Server;
  let url: string;
  let asked: Asked[];
  let script: (request: Asked, index: number) => Answer;

  const says = (content: string): Answer => ({
    body: { choices: [{ message: { role: 'assistant', content } }] },
  });
  const sends = (name: string, ...[from = '', to = '']: string[]) =>
    says(`Here it is:\n\n\`\`\`js\n${programs.get(name)!.replace(from, to)}\n\`\`\`\n`);

  beforeAll(async () => {
    server = createServer(async (request: IncomingMessage, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const one = { key: request.headers.authorization, body: JSON.parse(Buffer.concat(chunks).toString()) };
      asked.push(one);
      const { status = 200, headers = {}, body } = script(one, asked.length - 1);
      response.writeHead(request.url === '/v1/chat/completions' ? status : 404, headers);
      response.end(typeof body === 'string' ? body : JSON.stringify(body));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
  });

  afterAll(() => server.close());

  beforeEach(() => {
    asked = [];
  });

  async function cria(args: readonly string[], env: Record<string, string> = {}) {
    const child = spawn(process.execPath, [CRIA, 'evaluate', 'tasks', ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, CRIA_DEBUG: '', OPENAI_API_KEY: '', ...env },
    });
    const texts = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8').on('data', (text: string) => {
        texts[name] += text;
      });
    }
    const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
    return { code, ...texts };
  }

  const endpoint = () => ['--endpoint', url, '--model', 'scripted'];

  it('tells what is broken in a Flappy Bird, and takes the repaired one', async () => {
    script = (_, i) =>
      i === 0 ? sends('flappy-bird', 'velocity += GRAVITY;', 'velocity += gravity;') : sends('flappy-bird');
    const output = join(folder, 'repair');
    const args = [...endpoint(), '--task', 'flappy-bird', '-o', output];
    const first = await cria(args, { OPENAI_API_KEY: 'secret' });
    expect(first.code).toBe(0);
    expect(first.stdout).toMatch(/\| flappy-bird \| +1 \| +0\.0 % \| +100\.0 % \| +0\.0 % \| +100\.0 % \|/);
    expect(first.stderr).toMatch(/answer 1: 0 of 11 checks passed[\s\S]*answer 2: passed/);
    expect(asked.map(({ key }) => key)).toEqual(['Bearer secret', 'Bearer secret']);
    expect(asked[1]!.body.messages.map(({ role }) => role)).toEqual(['user', 'assistant', 'user']);
    const told = asked[1]!.body.messages[2]!.content;
    expect(told).toMatch(/ReferenceError: .*gravity.* at step \(program\.js:\d+:\d+\), called from frame/);
    expect(asked[1]!.body.seed).not.toBe(asked[0]!.body.seed);

    expect((await readdir(output)).sort()).toEqual(['flappy-bird', 'results.json', 'results.md', 'run.json']);
    const transcript = await readFile(join(output, 'flappy-bird', 'sample-001.md'), 'utf8');
    expect(transcript).toMatch(/## Answer 1[\s\S]*## Told[\s\S]*gravity[\s\S]*## Run 2: passed/);
    for (const file of await readdir(output, { recursive: true })) expect(file).not.toMatch(/partial|tmp/);
    expect(JSON.stringify(await readFile(join(output, 'run.json'), 'utf8'))).not.toContain('secret');

    const again = await cria(args);
    expect(again).toMatchObject({ code: 0, stdout: first.stdout });
    expect(asked).toHaveLength(2);
    const other = await cria([...args, '--temp', '0']);
    expect(other).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/temperature 0\.6, found 0: use another folder/),
    });
  });

  it('runs samples of own tasks at once, waits for a busy server, and goes on where it was stopped', async () => {
    const file = join(folder, 'own.jsonl');
    const task = {
      name: 'sum',
      prompt: 'Write sum(a, b), and print sum(2, 3).',
      checks: [
        { name: 'adds', points: 3, code: "equal(game.value('sum(2, 40)'), 42, 'sum(2, 40)')" },
        { name: 'prints', output: '5\n' },
      ],
    };
    await writeFile(file, `${JSON.stringify(task)}\n`);
    const right = '```js\nfunction sum(a, b) { return a + b; }\nconsole.log(sum(2, 3));\n```';
    // Whatever the order of requests: the second sample is right at once, the others never.
    script = ({ body }, i) =>
      i === 0
        ? { status: 429, headers: { 'retry-after': '0' }, body: { error: { message: 'slow down' } } }
        : body.seed === 1001
          ? says(right)
          : says(body.messages.length === 1 ? 'I would rather not.' : right.replace('a + b', 'a - b'));
    const output = join(folder, 'own');
    const args = [...endpoint(), '--tasks-file', file, '--samples', '3', '-np', '3', '--json', '-o', output];
    const { code, stdout } = await cria([...args, '--rounds', '2']);
    expect(code).toBe(0);
    expect(asked).toHaveLength(6);
    const [result] = JSON.parse(stdout).tasks;
    expect(result).toMatchObject({ task: 'sum', samples: 3, passedAtFirst: 1, passedInTheEnd: 1 });
    expect(result.passAt[1]).toBeCloseTo(1 / 3);
    const told = asked.find(({ body }) => body.messages.length === 3)!.body.messages[2]!.content;
    expect(told).toContain('no JavaScript');

    script = () => says(right);
    const longer = await cria([...args, '--rounds', '3']);
    expect(asked).toHaveLength(8);
    expect(JSON.parse(longer.stdout).tasks[0]).toMatchObject({
      passedAtFirst: 1,
      passedInTheEnd: 3,
      rounds: 7 / 3,
    });
    const feedback = asked[6]!.body.messages[2]!.content;
    expect(feedback).toContain('- adds: sum(2, 40): expected 42, found -38');
    expect(feedback).toContain('- prints: the output: expected 5, found -1');
  });

  it.each<[string, Answer, number, RegExp]>([
    [
      'a key it wants',
      { status: 401, body: { error: { message: 'no key' } } },
      7,
      /wants a key in OPENAI_API_KEY: "no key"/,
    ],
    [
      'a model it lacks',
      { status: 404, body: { error: 'unknown' } },
      7,
      /answers 404: "unknown" \(is 'scripted' a model there/,
    ],
    ['another page', { body: '<html>' }, 7, /expected a chat completion, found "<html>"/],
    [
      'a redirection',
      { status: 302, headers: { location: 'http://example.com' }, body: '' },
      7,
      /answers 302/,
    ],
    [
      'a small context',
      { status: 400, body: { error: { message: 'context length exceeded' } } },
      2,
      /does not fit the context/,
    ],
  ])('says what a server answers: %s', async (_, answer, code, message) => {
    script = () => answer;
    const outcome = await cria([...endpoint(), '--task', '2048']);
    expect(outcome).toMatchObject({ code, stderr: expect.stringMatching(message) });
    expect(outcome.stderr).toMatch(/^cria: .*\n$/m);
  });

  it('refuses command lines that cannot be', async () => {
    const cases: [string[], RegExp][] = [
      [[], /missing MODEL/],
      [['m.gguf', '--endpoint', url], /found both/],
      [['--endpoint', url], /expects --model NAME/],
      [['m.gguf', '--model', 'x'], /expected 'x' as MODEL/],
      [['--endpoint', 'ftp://x', '--model', 'x'], /http or https address, found 'ftp:\/\/x'/],
      [[...endpoint(), '--task', 'chess'], /--task expects one of flappy-bird.*found 'chess'/],
    ];
    for (const [args, message] of cases) {
      expect(await cria(args)).toMatchObject({ code: 2, stderr: expect.stringMatching(message) });
    }
    expect(asked).toEqual([]);
  });

  it('asks a model of its own', async () => {
    const args = [
      NANO_SCOUT,
      '--task',
      '2048',
      '--rounds',
      '2',
      '-n',
      '24',
      '-t',
      '2',
      '-c',
      '4096',
      '--json',
    ];
    const { code, stdout } = await cria(args);
    expect(code).toBe(0);
    const [result] = JSON.parse(stdout).tasks;
    expect(result).toMatchObject({ rounds: 2, passedInTheEnd: 0 });
  });
});
