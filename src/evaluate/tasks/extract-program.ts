import type { ElementSpec } from './host/page.js';
import type { Program, Script } from './program.js';

export type Extracted =
  | { readonly program: Program; readonly problem?: undefined }
  /** Why the answer cannot be run, as a sentence for who wrote it. */
  | { readonly program?: undefined; readonly problem: string };

const LONGEST_PROGRAM = 1 << 20;
const MOST_ELEMENTS = 1000;

/**
 * The program in an answer: the longest fenced block of JavaScript or, where there is one, the HTML document; without
 * fences the whole answer if it reads as code. What a model thought aloud before its answer is left out.
 */
export function extractProgram(answer: string): Extracted {
  const text = answer.split('</think>').at(-1)!;
  if (text.length > LONGEST_PROGRAM) {
    return { problem: `The answer has more than ${LONGEST_PROGRAM} characters.` };
  }
  const blocks = fencedBlocks(text);
  const html = longest(blocks.filter(({ language, code }) => language === 'html' || isHtml(code)));
  const script = longest(blocks.filter(({ language, code }) => SCRIPT.test(language) && !isHtml(code)));
  if (html !== undefined) return fromHtml(html, script);
  if (script !== undefined) return fromScript(script);
  const bare = text.trim();
  if (blocks.length === 0 && isHtml(bare)) return fromHtml(bare, undefined);
  if (blocks.length === 0 && CODE_START.test(bare)) return fromScript(bare);
  return { problem: 'The answer holds no JavaScript: send the whole program in one ```js block.' };
}

const SCRIPT = /^(?:|js|javascript|mjs|ecmascript|jsx)$/;
const CODE_START =
  /^(?:\/[/*]|['"]use strict['"]|\(?(?:async )?function\b|\(\(\)|(?:const|let|var|class|document|window|console)\b)/;

function isHtml(code: string): boolean {
  return /^\s*<(?:!doctype|html|head|body|canvas|script|meta|div|style)\b/i.test(code);
}

interface Block {
  readonly language: string;
  readonly code: string;
}

/** Blocks between lines of ``` or ~~~. A block that the answer's end cut off counts. */
export function fencedBlocks(text: string): Block[] {
  const blocks: Block[] = [];
  let open: { fence: string; language: string; lines: string[] } | undefined;
  const close = () => {
    if (open) blocks.push({ language: open.language, code: open.lines.join('\n') });
    open = undefined;
  };
  for (const line of text.split(/\r?\n/)) {
    const [, fence, info = ''] = /^ {0,3}(`{3,}|~{3,})\s*([^`]*)$/.exec(line) ?? [];
    if (open === undefined) {
      const language = info
        .trim()
        .split(/[\s{:]/)[0]!
        .toLowerCase();
      if (fence !== undefined) open = { fence, language, lines: [] };
    } else if (fence?.startsWith(open.fence) && info.trim() === '') {
      close();
    } else {
      open.lines.push(line);
    }
  }
  close();
  return blocks;
}

function longest(blocks: readonly Block[]): string | undefined {
  let best: string | undefined;
  for (const { code } of blocks) {
    if (code.trim() !== '' && code.length > (best?.length ?? 0)) best = code;
  }
  return best;
}

function fromScript(code: string): Extracted {
  return { program: { scripts: [{ code, file: 'program.js' }], elements: [] } };
}

/** The scripts of a document and its elements; a script file it names can only be the block beside it. */
function fromHtml(html: string, beside: string | undefined): Extracted {
  const codes: string[] = [];
  const elements: ElementSpec[] = [];
  for (const { tag, attributes, text } of htmlTags(html)) {
    if (tag === 'script') {
      const source = attributes.get('src');
      if (source === undefined) codes.push(text);
      else if (beside !== undefined && !/^(?:https?:)?\/\//i.test(source)) codes.push(beside);
      else
        return {
          problem: `The page loads '${source.slice(0, 200)}', but there is no network: use no libraries.`,
        };
    } else if ((attributes.has('id') || tag === 'canvas') && elements.length < MOST_ELEMENTS) {
      const size = (name: string) => {
        const value = Number.parseInt(attributes.get(name) ?? '', 10);
        return Number.isNaN(value) ? undefined : value;
      };
      const id = attributes.get('id') ?? '';
      elements.push({
        tag,
        id,
        text: text.trim().slice(0, 200),
        width: size('width'),
        height: size('height'),
      });
    }
  }
  const written = codes.filter((code) => code.trim() !== '');
  if (written.length === 0) return { problem: 'The page holds no script.' };
  const scripts = written.map(
    (code, i): Script => ({ code, file: written.length === 1 ? 'program.js' : `script-${i + 1}.js` }),
  );
  return { program: { scripts, elements } };
}

interface Tag {
  readonly tag: string;
  readonly attributes: ReadonlyMap<string, string>;
  /** What follows it, up to the next tag; of scripts and styles, up to their end. */
  readonly text: string;
}

/** Opening tags, in time linear in the text whatever it holds. */
function* htmlTags(html: string): Generator<Tag> {
  const lower = html.toLowerCase();
  const endOr = (found: number) => (found < 0 ? html.length : found);
  for (let at = html.indexOf('<'); at >= 0; at = html.indexOf('<', at)) {
    if (html.startsWith('<!--', at)) {
      at = endOr(html.indexOf('-->', at));
      continue;
    }
    const end = html.indexOf('>', at);
    if (end < 0) return;
    const tag = /^[a-z][a-z0-9-]{0,30}/.exec(lower.slice(at + 1, at + 33))?.[0];
    const isRaw = tag === 'script' || tag === 'style';
    const next = endOr(isRaw ? lower.indexOf(`</${tag}`, end) : html.indexOf('<', end));
    if (tag !== undefined) {
      yield {
        tag,
        attributes: attributesOf(html.slice(at + 1 + tag.length, end)),
        text: html.slice(end + 1, next),
      };
    }
    at = Math.max(next, end);
  }
}

function attributesOf(text: string): Map<string, string> {
  const attributes = new Map<string, string>();
  const found = text.slice(0, 2000).matchAll(/([a-z-]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))/gi);
  for (const [, name, double, single, bare] of found) {
    attributes.set(name!.toLowerCase(), double ?? single ?? bare ?? '');
  }
  return attributes;
}
