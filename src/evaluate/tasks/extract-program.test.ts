import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { extractProgram, fencedBlocks } from './extract-program.js';

const scripts = (answer: string) => extractProgram(answer).program?.scripts;
const fence = (code: string, language = 'js') => `Here:\n\n\`\`\`${language}\n${code}\n\`\`\`\n\nHave fun!`;

describe('extractProgram', () => {
  it('takes the block of an answer, and the longest of several', () => {
    expect(scripts(fence('let a = 1;'))).toEqual([{ code: 'let a = 1;', file: 'program.js' }]);
    const two = `${fence('start();')}\n${fence('let whole = 1;\nstart();', 'javascript')}\n${fence('npm start', 'bash')}`;
    expect(scripts(two)?.[0]?.code).toBe('let whole = 1;\nstart();');
    expect(scripts('~~~\nlet a;\n~~~')?.[0]?.code).toBe('let a;');
  });

  it('takes what there is of a block that was cut off, and keeps fences inside a longer one', () => {
    expect(scripts('```js\nlet a = 1;\nlet b')?.[0]?.code).toBe('let a = 1;\nlet b');
    expect(fencedBlocks('````md\n```js\n1\n```\n````')).toEqual([{ language: 'md', code: '```js\n1\n```' }]);
  });

  it('takes an answer without fences if it is code, and leaves out what was thought before it', () => {
    expect(scripts('const a = 1;\nrun(a);')?.[0]?.code).toBe('const a = 1;\nrun(a);');
    expect(scripts(`<think>${fence('wrong()')}</think>${fence('right()')}`)?.[0]?.code).toBe('right()');
    expect(extractProgram('I cannot do that.').problem).toMatch(/no JavaScript/);
    expect(extractProgram(fence('print(1)', 'python')).problem).toMatch(/no JavaScript/);
  });

  it('takes the scripts and elements of a page', () => {
    const page = `<!DOCTYPE html><html><head><style>a { color: red }</style></head><body>
      <!-- <script>no()</script> --><canvas id="game" width="300" height=200></canvas><p id='score'>Score: 0</p>
      <script>const a = '<b>' + 1;</script><script type="text/javascript">two();</script></body></html>`;
    const { program } = extractProgram(fence(page, 'html'));
    expect(program?.scripts).toEqual([
      { code: "const a = '<b>' + 1;", file: 'script-1.js' },
      { code: 'two();', file: 'script-2.js' },
    ]);
    expect(program?.elements).toEqual([
      { tag: 'canvas', id: 'game', text: '', width: 300, height: 200 },
      { tag: 'p', id: 'score', text: 'Score: 0' },
    ]);
  });

  it('joins a page and the script file beside it, and refuses libraries', () => {
    const page = fence('<html><canvas></canvas><script src="game.js"></script></html>', 'html');
    expect(scripts(page + fence('go();'))).toEqual([{ code: 'go();', file: 'program.js' }]);
    const library = fence(
      '<script src="https://cdn.example/phaser.js"></script><script>go()</script>',
      'html',
    );
    expect(extractProgram(library).problem).toMatch(/no network/);
    expect(extractProgram(fence('<canvas></canvas>', 'html')).problem).toMatch(/no script/);
  });

  it('gives a program or a problem for any text', () => {
    const piece = fc.constantFrom(
      '<script',
      '>',
      '</script>',
      '```',
      'js',
      '\n',
      '<!--',
      '-->',
      'let a',
      '<',
      '"',
      '=',
      'id',
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(piece, fc.string()), { maxLength: 40 }), (pieces) => {
        const { program, problem } = extractProgram(pieces.join(''));
        expect(program === undefined).toBe(problem !== undefined);
      }),
    );
    const { problem } = extractProgram(`<html>${'<script '.repeat(100_000)}`);
    expect(problem).toBeDefined();
  });
});
