import { describe, expect, it } from 'vitest';
import type { Report, ReportFile } from './report-data.js';
import { reportPage } from './report-page.js';

const HOSTILE = `<img src=x onerror="alert('1')">&{a|b}\u202e`;

function sample(changes: Partial<Report> = {}): Report {
  const error = { weighted: 0.01, plain: 0.02 };
  const names = ['attn_q', HOSTILE].flatMap((projection) => [0, 1].map((layer) => ({ projection, layer })));
  const tensors = [
    ...names.map(({ projection, layer }) => ({ name: `blk.${layer}.${projection}`, projection, layer })),
    {
      name: 'output.weight',
      projection: 'output',
      floor: { floor: 'output-and-embeddings', smallest: 'IQ4_XS' },
    },
  ].map(
    (tensor) =>
      ({ ...tensor, shape: [64, 64], weights: 4096, type: 'BF16', nf4: error }) as Report['tensors'][number],
  );
  const quality = {
    meanKld: 0.02,
    meanKldError: 0.001,
    medianKld: 0.01,
    kld99: 0.2,
    sameTopPercent: 90,
    perplexity: 60,
    perplexityError: 1,
    referencePerplexity: 58,
    tokens: 1020,
    chunks: 4,
    contextSize: 512,
  };
  const file = (label: string, kind: ReportFile['kind'], bytes: number): ReportFile => ({
    label,
    file: `${label}.gguf`,
    kind,
    bytes,
    bitsPerWeight: 4.5,
    error,
    quality: { ...quality, meanKld: 1 / bytes },
    tensors: tensors.map(() => ({ type: 'Q4_K', bits: 4.5, bytes: 2304, error, position: 'above' })),
  });
  return {
    format: 'cria-report',
    version: 1,
    model: {
      name: HOSTILE,
      file: HOSTILE,
      architecture: 'llama4',
      bytes: 30000,
      weights: 15000,
      bitsPerWeight: 16,
      layers: 2,
      experts: 4,
    },
    tensors,
    sampled: false,
    nf4: { bitsPerWeight: 4.5, error },
    files: [file(HOSTILE, 'measured', 4000), file('Q4_K', 'static', 5000), file('UD', 'recipe', 6000)],
    fourBit: [
      {
        label: HOSTILE,
        bytes: 5000,
        error,
        kept: [HOSTILE],
        layers: [0, 1].map((layer) => ({ layer, plain: error, error })),
      },
    ],
    importance: { file: HOSTILE, datasets: [HOSTILE], chunks: 3, chunkSize: 512 },
    coverage: {
      minTokens: 256,
      layers: [
        {
          layer: 1,
          experts: 4,
          tokens: 1500,
          expertTokens: [0, 100, 400, 1000],
          fewestTokens: 0,
          medianTokens: 400,
          poorExperts: [0, 1],
          unseenExperts: [0],
          poorShare: 0.5,
          tensorsAtRisk: [`blk.1.${HOSTILE}`],
        },
      ],
      poorShare: 0.5,
      suggestions: [`more of '${HOSTILE}' helps`],
    },
    evaluationText: HOSTILE,
    ...changes,
  };
}

/** Tags of a page, by name, and whether each one that opens also closes in order. */
function tags(page: string): { names: Set<string>; balanced: boolean } {
  const names = new Set<string>();
  const open: string[] = [];
  for (const [, close, name, rest] of page.matchAll(/<(\/?)([a-z][a-z0-9]*)((?:"[^"]*"|[^">])*)>/gi)) {
    names.add(name!);
    if (close === '/') {
      if (open.pop() !== name) return { names, balanced: false };
    } else if (!['meta', 'br', 'img'].includes(name!) && !rest!.endsWith('/')) open.push(name!);
  }
  return { names, balanced: open.length === 0 };
}

describe('reportPage', () => {
  const page = reportPage(sample());

  it('is one well-formed document with all its charts', () => {
    expect(page).toMatch(/^<!doctype html>/);
    const { names, balanced } = tags(page);
    expect(balanced).toBe(true);
    expect(
      [...names].filter((name) => ['script', 'img', 'link', 'iframe', 'use', 'image'].includes(name)),
    ).toEqual([]);
    // One Pareto chart, two maps for each file, the experts, and two line charts.
    expect(page.match(/<svg role="img"/g)).toHaveLength(1 + 2 * 3 + 1 + 2);
    for (const id of ['size', 'bits', 'floors', 'coverage', 'nf4', 'method']) {
      expect(page).toContain(`<section id="${id}">`);
    }
  });

  it('loads nothing', () => {
    expect(page).not.toMatch(/https?:|url\(|@import|<[^>"]* (src|href)=/i);
    expect(page).toContain(`content="default-src 'none'; style-src 'unsafe-inline'"`);
  });

  it('escapes names wherever they appear', () => {
    expect(page).not.toContain('<img');
    expect(page).not.toContain('\u202e');
    expect(page).not.toMatch(/onerror="/);
    expect(page.split('&lt;img src=x onerror=').length).toBeGreaterThan(10);
  });

  it('has every colour it uses in both schemes', () => {
    const [light, dark] = [...page.matchAll(/:root \{([^}]*)\}/g)].map(([, block]) => block!);
    const names = (block: string) => [...block.matchAll(/(--[\w-]+):/g)].map(([, name]) => name!).sort();
    expect(page).toContain('@media (prefers-color-scheme: dark)');
    expect(names(dark!)).toEqual(names(light!));
    for (const [, name] of page.matchAll(/var\((--[\w-]+)\)/g)) expect(names(light!)).toContain(name);
    // Fixed colours would be right in one scheme only.
    expect(page.slice(page.indexOf('<body>'))).not.toMatch(/(fill|stroke)="(#|rgb|black|white)/);
  });

  it('does without evaluation, importance data and further files', () => {
    const { files } = sample();
    const [{ quality: _, ...alone }] = files as [ReportFile];
    const small = reportPage(sample({ files: [alone], importance: undefined, coverage: undefined }));
    expect(tags(small).balanced).toBe(true);
    expect(small).not.toContain('<section id="coverage">');
    expect(small).toContain('were not measured');
    expect(small).not.toMatch(/undefined|NaN|Infinity/);
    expect(page).not.toMatch(/undefined|NaN|Infinity/);
  });

  it('is the same for the same report', () => expect(reportPage(sample())).toBe(page));
});
