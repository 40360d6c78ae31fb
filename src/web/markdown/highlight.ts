import { escapeHtml } from './escape-html.js';

/** Above this, code is shown plain: colours would cost more time than they are worth. */
const MAX_CHARACTERS = 50_000;

const HASH_COMMENTS = new Set(
  'python py ruby rb sh bash zsh shell console yaml yml toml r perl dockerfile makefile'.split(' '),
);
const DASH_COMMENTS = new Set(['sql', 'lua', 'haskell', 'hs']);
const MARKUP = new Set(['html', 'xml', 'svg', 'vue']);
const PLAIN = new Set(['', 'text', 'txt', 'plain', 'markdown', 'md', 'diff']);

const KEYWORDS = new Set(
  `abstract and as assert async await begin break case catch class const continue def default defer del delete do
  elif else elsif end enum except export extends extern false final finally fn for foreach from func function global
  go goto if impl implements import in interface is lambda let loop match mod mut namespace new nil none not null of
  or package pass private protected public pub raise return select self static struct super switch then this throw
  trait true try type typeof union unless until use using var void when where while with yield int float double bool
  boolean char string str long unsigned None True False echo fi done esac`.split(/\s+/),
);

const SQL_KEYWORDS = new Set(
  `select from where and or not null is in as on join left right inner outer full group by order having limit offset
  distinct union all case when then else end insert into values update set delete create alter drop table index view
  primary key foreign references default unique with asc desc between like exists true false begin commit`.split(
    /\s+/,
  ),
);

const STRING = String.raw`"(?:[^"\\\n]|\\.)*"?|'(?:[^'\\\n]|\\.)*'|${'`'}(?:[^${'`'}\\]|\\[\s\S])*${'`'}?`;
const NUMBER = String.raw`\b(?:0[xXbBoO][\da-fA-F_]+|\d[\d_]*(?:\.\d+)?(?:[eE][+-]?\d+)?)\b`;
const WORD = String.raw`[A-Za-z_$][\w$]*`;

/** Code as HTML with comments, strings, numbers and keywords marked: one rough grammar that fits most languages. */
export function highlight(code: string, language: string): string {
  const name = language.toLowerCase();
  if (PLAIN.has(name) || code.length > MAX_CHARACTERS) return escapeHtml(code);
  const pattern = new RegExp(`(${commentPattern(name)})|(${STRING})|(${NUMBER})|(${WORD})`, 'g');
  const isKeyword = (word: string) =>
    name === 'sql' ? SQL_KEYWORDS.has(word.toLowerCase()) : KEYWORDS.has(word);
  let html = '';
  let end = 0;
  for (const match of code.matchAll(pattern)) {
    const [text, comment, quoted, number, word] = match;
    const kind =
      comment !== undefined
        ? 'comment'
        : quoted !== undefined
          ? 'string'
          : number !== undefined
            ? 'number'
            : isKeyword(word!)
              ? 'keyword'
              : code[match.index + text.length] === '('
                ? 'call'
                : undefined;
    html += escapeHtml(code.slice(end, match.index));
    html += kind === undefined ? escapeHtml(text) : `<span class="hl-${kind}">${escapeHtml(text)}</span>`;
    end = match.index + text.length;
  }
  return html + escapeHtml(code.slice(end));
}

function commentPattern(language: string): string {
  if (MARKUP.has(language)) return String.raw`<!--[\s\S]*?(?:-->|$)`;
  if (HASH_COMMENTS.has(language)) return String.raw`#.*|"""[\s\S]*?(?:"""|$)`;
  if (DASH_COMMENTS.has(language)) return '--.*';
  return String.raw`\/\/.*|\/\*[\s\S]*?(?:\*\/|$)`;
}
