import { Marked, type Token } from 'marked';
import { escapeHtml } from './escape-html.js';
import { highlight } from './highlight.js';

export interface MarkdownLabels {
  readonly copy: string;
}

/** One paragraph, list, table, … as it was written. */
export interface MarkdownBlock {
  readonly source: string;
  /** HTML that still has to be sanitised. */
  readonly html: () => string;
}

/** Tags without attributes that may be written out; all other HTML is shown as the text it is. */
const PLAIN_TAG = /^<\/?(?:br|sub|sup|kbd|mark|u|b|i|s)\s*\/?>$/i;

/** The blocks of a Markdown text. */
export function markdownBlocks(text: string, labels: MarkdownLabels): MarkdownBlock[] {
  return toBlocks(rendererFor(labels).lexer(text), labels);
}

/** What is added to a text may change this many of its last tokens: a line into a heading, an item into a list. */
const UNSETTLED_TOKENS = 3;

/** The blocks of a text that is being written. Only its end is read again, so that long answers stay smooth. */
export class GrowingMarkdown {
  #text = '';
  #tokens: Token[] = [];

  /** As `markdownBlocks`, except that link definitions at the end do not reach links in earlier blocks. */
  blocks(text: string, labels: MarkdownLabels): MarkdownBlock[] {
    let settled = text.startsWith(this.#text) ? this.#tokens.slice(0, -UNSETTLED_TOKENS) : [];
    let read = settled.map(({ raw }) => raw).join('');
    // The lexer's line breaks are not always those of the text.
    if (!text.startsWith(read)) [settled, read] = [[], ''];
    this.#text = text;
    this.#tokens = [...settled, ...rendererFor(labels).lexer(text.slice(read.length))];
    return toBlocks(this.#tokens, labels);
  }
}

function toBlocks(tokens: readonly Token[], labels: MarkdownLabels): MarkdownBlock[] {
  return tokens
    .filter(({ type }) => type !== 'space')
    .map((token) => ({ source: token.raw, html: () => rendererFor(labels).parser([token]) }));
}

/** The address of a link that may be followed; `undefined` for scripts, data and anything relative. */
export function safeAddress(href: string): string | undefined {
  try {
    const { protocol } = new URL(href);
    return ['http:', 'https:', 'mailto:'].includes(protocol) ? href : undefined;
  } catch {
    return undefined;
  }
}

const renderers = new Map<string, Marked>();

function rendererFor({ copy }: MarkdownLabels): Marked {
  const known = renderers.get(copy);
  if (known) return known;
  const marked = new Marked({ gfm: true, breaks: true, async: false });
  const link = (href: string, content: string) => {
    const address = safeAddress(href);
    if (address === undefined) return content;
    return `<a href="${escapeHtml(address)}" target="_blank" rel="noopener noreferrer nofollow">${content}</a>`;
  };
  marked.use({
    renderer: {
      html: ({ text }) => (PLAIN_TAG.test(text.trim()) ? text : escapeHtml(text)),
      link({ href, tokens }) {
        return link(href, this.parser.parseInline(tokens));
      },
      // A picture elsewhere would tell its host who reads this, so it is a link to follow or not.
      image: ({ href, text }) => link(href, escapeHtml(text || href)),
      code: ({ text, lang }) => codeBlock(text, lang, copy),
      checkbox: ({ checked }) => (checked ? '☑ ' : '☐ '),
      table(token) {
        const head = token.header.map((cell) => this.tablecell(cell)).join('');
        const rows = token.rows.map((row) => `<tr>${row.map((cell) => this.tablecell(cell)).join('')}</tr>`);
        return `<div class="table"><table><thead><tr>${head}</tr></thead><tbody>${rows.join('')}</tbody></table></div>`;
      },
    },
  });
  renderers.set(copy, marked);
  return marked;
}

function codeBlock(text: string, lang: string | undefined, copy: string): string {
  const language = /^[\w+#.-]{1,20}/.exec(lang ?? '')?.[0] ?? '';
  const head = `<div class="code-head"><span>${escapeHtml(language)}</span><button type="button" class="copy-code">${escapeHtml(copy)}</button></div>`;
  return `<div class="code">${head}<pre tabindex="0"><code>${highlight(text, language)}</code></pre></div>`;
}
