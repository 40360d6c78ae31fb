import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { highlight } from './highlight.js';
import { GrowingMarkdown, markdownBlocks, safeAddress } from './markdown-blocks.js';

const html = (text: string) =>
  markdownBlocks(text, { copy: 'Copy' })
    .map((block) => block.html())
    .join('');

describe('Markdown', () => {
  it.each([
    '<img src=x onerror=alert(1)>',
    '<script>alert(1)</script>',
    '<div style="position:fixed">x</div>',
    'text <iframe src="//x"></iframe>',
    '<button class="copy-code">Copy</button>',
  ])('shows HTML as the text it is: %s', (text) => {
    expect(html(text)).not.toMatch(/<(?!\/?p>|br>)/);
    expect(html(text)).toContain('&#60;');
  });

  it('lets tags without attributes through that only look different', () => {
    expect(html('H<sub>2</sub>O<br>')).toBe('<p>H<sub>2</sub>O<br></p>\n');
    expect(html('<sub onclick=x>2')).not.toContain('<sub');
  });

  it.each([
    'javascript:alert(1)',
    'JaVaScRiPt:alert(1)',
    'data:text/html,x',
    'vbscript:x',
    '/relative',
    '//host',
    '',
  ])('makes no link to %j', (href) => {
    expect(safeAddress(href)).toBeUndefined();
    expect(html(`[label](<${href}>)`)).not.toContain('<a');
  });

  it('opens links elsewhere, without telling where they were', () => {
    expect(html('[a](https://example.com/?a=1&b="2")')).toContain(
      'href="https://example.com/?a=1&#38;b=&#34;2&#34;" target="_blank" rel="noopener noreferrer nofollow"',
    );
  });

  it('makes links of pictures', () => {
    expect(html('![a cat](https://example.com/cat.png)')).toMatch(/<a href="[^"]*cat\.png"[^>]*>a cat<\/a>/);
    expect(html('![x](data:image/png;base64,AA==)')).toBe('<p>x</p>\n');
  });

  it('names the language of code and keeps its text', () => {
    const block = html('```c++ "><b>\nif (a < b) return "x";\n```');
    expect(block).toContain('<span>c++</span>');
    expect(block.replace(/<[^>]*>/g, '').replaceAll('&#60;', '<')).toContain(
      'if (a < b) return &#34;x&#34;;',
    );
  });

  it('is the same for a text that grew as for one that is whole', () => {
    const part = fc.constantFrom(
      ...[
        '# Title\n\n',
        'One *two*',
        '\n',
        '\n\n',
        '- a\n',
        '- b\n\n  c\n',
        '1. x\n',
        '> q\n',
        '---\n',
        '===\n',
      ],
      ...[
        '```js\n',
        'let x = 1;\n',
        '```\n',
        '| a | b |\n',
        '|---|---|\n',
        '    code\n',
        '<div>\n',
        '\t',
        '\r\n',
        '  ',
      ],
    );
    const sources = (blocks: readonly { source: string }[]) => blocks.map(({ source }) => source);
    fc.assert(
      fc.property(fc.array(part, { maxLength: 25 }), (parts) => {
        const growing = new GrowingMarkdown();
        let text = '';
        for (const added of parts) {
          text += added;
          const found = growing.blocks(text, { copy: 'Copy' });
          expect(sources(found)).toEqual(sources(markdownBlocks(text, { copy: 'Copy' })));
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe('highlight', () => {
  it('changes nothing of the text', () => {
    const languages = fc.constantFrom('js', 'python', 'sql', 'html', 'text', 'unknown');
    const code = fc.string({ unit: fc.constantFrom(...'ab1"\'`/*#-<>&\\\n ('), maxLength: 80 });
    fc.assert(
      fc.property(code, languages, (text, language) => {
        const plain = highlight(text, language)
          .replace(/<\/?span[^>]*>/g, '')
          .replace(/&#(\d+);/g, (_, number) => String.fromCharCode(Number(number)));
        expect(plain).toBe(text);
      }),
    );
  });

  it('marks what code is made of', () => {
    expect(highlight('return f(1) // end', 'js')).toBe(
      '<span class="hl-keyword">return</span> <span class="hl-call">f</span>(<span class="hl-number">1</span>) <span class="hl-comment">// end</span>',
    );
    expect(highlight('left = 1', 'python')).toContain('left = ');
    expect(highlight('SELECT a', 'sql')).toContain('hl-keyword');
  });
});
