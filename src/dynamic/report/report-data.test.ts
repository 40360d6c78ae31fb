import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openModel } from '../../convert/open-model.js';
import { type GgmlType, rowBytes } from '../../formats/ggml-types.js';
import { readImatrix } from '../../formats/imatrix/index.js';
import { rowCount, type TensorSource } from '../../formats/tensor-source.js';
import { blockFormat } from '../../quant/index.js';
import { shapeOf } from '../model-shape.js';
import { provenanceMetadata } from '../provenance.js';
import { findRecipe } from '../recipes.js';
import { type TypePlan, uniformPlan } from '../type-plan.js';
import { identifyTypes } from './identify-types.js';
import { buildReport, type Report } from './report-data.js';
import { roundingErrors } from './rounding-errors.js';

const NANO = 'models/nano-scout';

/** A model as it would be in a file with these types. */
function rounded(source: TensorSource, path: string, plan: TypePlan): TensorSource {
  const tensors = Array.from(source.tensors.values(), (info) => {
    const type = plan.get(info.name) ?? info.type;
    return { ...info, type, bytes: rowCount(info.shape) * rowBytes(type, info.shape[0]!) };
  });
  return {
    path,
    metadata: source.metadata,
    tensors: new Map(tensors.map((info) => [info.name, info])),
    async readRows(name, start, count, target) {
      const { type, shape } = source.tensors.get(name)!;
      const bytes = new Uint8Array(count * rowBytes(type, shape[0]!));
      await source.readRows(name, start, count, bytes);
      const values = new Float32Array(count * shape[0]!);
      blockFormat(type).decode(bytes, values);
      blockFormat(plan.get(name) ?? type).encode!(values, target, shape[0]!);
    },
    async close() {},
  };
}

describe('buildReport', () => {
  let source: TensorSource;
  let report: Report;

  beforeAll(async () => {
    source = await openModel(NANO);
    const tensors = [...source.tensors.values()];
    const mixed = new Map<string, GgmlType>([
      ...uniformPlan(tensors, 'Q8_0'),
      ['token_embd.weight', 'Q2_0'],
      ['blk.2.attn_v.weight', 'F16'],
    ]);
    const files = [
      rounded(source, '/models/nano-Q8_0.gguf', uniformPlan(tensors, 'Q8_0')),
      rounded(source, '/models/nano-mixed.gguf', mixed),
    ];
    const file = 'test/golden/nano-scout/imatrix.gguf';
    const imatrix = await readImatrix(file);
    const rounding = await roundingErrors(source, files, {
      importance: imatrix.entries,
      sampleWeights: 4096,
    });
    report = buildReport({
      original: { source, bytes: 3e7 },
      files: files.map((model, i) => ({ source: model, bytes: (2 - i) * 1e7 })),
      rounding,
      imatrix: { file, imatrix },
    });
  });
  afterAll(() => source.close());

  it('describes the model and its weight matrices', () => {
    expect(report.model).toMatchObject({ architecture: 'llama4', layers: 6, experts: 8 });
    expect(report.tensors).toHaveLength(62);
    expect(report.tensors.find(({ name }) => name === 'blk.2.attn_v.weight')).toMatchObject({
      layer: 2,
      projection: 'attn_v',
    });
    expect(report.sampled).toBe(true);
  });

  it('sorts files by size, names them and says what their types follow', () => {
    expect(report.files.map(({ label, kind, recipe }) => ({ label, kind, recipe }))).toEqual([
      { label: 'mixed', kind: 'custom', recipe: undefined },
      { label: 'Q8_0', kind: 'static', recipe: 'Q8_0' },
    ]);
  });

  it('measures each file, and NF4', () => {
    const at = report.tensors.findIndex(({ name }) => name === 'blk.2.attn_v.weight');
    const [mixed, q8] = report.files;
    expect(mixed!.tensors[at]).toMatchObject({ type: 'F16', bits: 16 });
    expect(mixed!.tensors[at]!.error.weighted).toBeLessThan(1e-6);
    expect(q8!.tensors[at]!.error.weighted).toBeGreaterThan(1e-6);
    expect(q8!.error.plain).toBeLessThan(1e-4);
    // Normal weights in blocks of 64 lose about 0.9% to NF4.
    expect(report.nf4.error.plain).toBeGreaterThan(0.007);
    expect(report.nf4.error.plain).toBeLessThan(0.011);
  });

  it('knows floors, and where files are below them', () => {
    const at = report.tensors.findIndex(({ name }) => name === 'token_embd.weight');
    expect(report.tensors[at]!.floor).toEqual({ floor: 'output-and-embeddings', smallest: 'IQ4_XS' });
    expect(report.files.map(({ tensors }) => tensors[at]!.position)).toEqual(['below', 'above']);
  });

  it('has the coverage of every expert', () => {
    expect(report.coverage!.layers).toHaveLength(6);
    expect(report.coverage!.layers[0]!.expertTokens).toHaveLength(8);
  });

  it('shows the error of 4-bit checkpoints by layer beside NF4', async () => {
    const kept = 'blk.2.attn_v.weight';
    // Q4_0 is about as coarse.
    const all = uniformPlan([...source.tensors.values()], 'Q4_0');
    const types = new Map([...all].filter(([name]) => name !== kept));
    const checkpoint = rounded(source, '/models/nano-bnb-4bit', types);
    const q8 = rounded(source, '/models/nano-Q8_0.gguf', uniformPlan([...source.tensors.values()], 'Q8_0'));
    const rounding = await roundingErrors(source, [q8, checkpoint], { sampleWeights: 1024 });
    const { fourBit } = buildReport({
      original: { source, bytes: 3e7 },
      files: [{ source: q8, bytes: 2e7 }],
      fourBit: [{ source: checkpoint, bytes: 1e7 }],
      rounding,
    });
    expect(fourBit).toMatchObject([{ label: 'nano-bnb-4bit', bytes: 1e7, kept: [kept] }]);
    expect(fourBit![0]!.layers.map(({ layer }) => layer)).toEqual([0, 1, 2, 3, 4, 5]);
    for (const { plain, error } of fourBit![0]!.layers) {
      expect(error.plain / plain.plain).toBeGreaterThan(0.5);
      expect(error.plain / plain.plain).toBeLessThan(2);
    }
  });

  it('is the same after a way through JSON', () => {
    expect(JSON.parse(JSON.stringify(report))).toEqual(report);
  });

  it('names recipes and mixes by their types', () => {
    const shape = shapeOf(source);
    const kindOf = (name: string) =>
      identifyTypes(rounded(source, '', findRecipe(name).types(shape, true)), shape);
    expect(kindOf('UD-IQ2_XXS')).toEqual({ kind: 'recipe', recipe: 'UD-IQ2_XXS' });
    expect(kindOf('Q4_K_M')).toEqual({ kind: 'static', recipe: 'Q4_K_M' });
    const metadata = provenanceMetadata({ request: '2.5 bits per weight', tensors: new Map() });
    expect(identifyTypes({ metadata, tensors: source.tensors }, shape)).toEqual({
      kind: 'measured',
      recipe: '2.5 bits per weight',
    });
  });

  it('refuses files of another model', async () => {
    const fewer = new Map([...source.tensors].slice(1));
    const wider = new Map(source.tensors);
    const info = source.tensors.get('output.weight')!;
    wider.set('output.weight', { ...info, shape: [info.shape[0]!, 1] });
    const more = new Map([...source.tensors, ['extra', { ...info, name: 'extra' }]]);
    for (const tensors of [fewer, wider, more]) {
      const other = { ...rounded(source, 'other.gguf', new Map()), tensors };
      await expect(roundingErrors(source, [other])).rejects.toMatchObject({ code: 'model-mismatch' });
    }
  });
});
