import { describe, expect, it } from 'vitest';
import type { MetadataValue, TensorInfo } from '../formats/tensor-source.js';
import { readCheckpointConfig } from './checkpoint-files.js';
import { openVisionCheckpoint } from './checkpoint-source.js';
import { f32, list, text, u32 } from './metadata-values.js';
import { rightlyNamed } from './open-vision.js';
import {
  normalisationFromMetadata,
  visionConfigFromHuggingFace,
  visionConfigFromMetadata,
} from './vision-config.js';

const NANO = 'models/nano-scout';

describe('visionConfigFromMetadata', () => {
  it('reads from an mmproj file what the checkpoint says', async () => {
    const source = await openVisionCheckpoint(NANO);
    const expected = visionConfigFromHuggingFace(await readCheckpointConfig(NANO), 256);
    const found = visionConfigFromMetadata(source.metadata, source.tensors, NANO);
    expect({ ...found, layerNormEps: 0 }).toEqual({ ...expected, layerNormEps: 0 });
    expect(found.layerNormEps).toBeCloseTo(1e-5, 10);
    const half = [0.5, 0.5, 0.5];
    expect(normalisationFromMetadata(source.metadata, NANO)).toEqual({ mean: half, std: half });
    expect(normalisationFromMetadata(new Map(), NANO)).toEqual({ mean: half, std: half });
    await source.close();
  });

  it.each<[string, string, MetadataValue, string]>([
    ['a language model', 'general.architecture', text('llama4'), 'not-a-vision-file'],
    ['the tower of another model', 'clip.projector_type', text('gemma3'), 'not-a-vision-file'],
    ['no layers', 'clip.vision.block_count', u32(0), 'bad-config'],
    ['more layers than any', 'clip.vision.block_count', u32(2 ** 31), 'bad-config'],
    ['patches that do not fit', 'clip.vision.patch_size', u32(15), 'bad-config'],
    ['heads that do not divide', 'clip.vision.attention.head_count', u32(7), 'bad-config'],
    ['a shuffle that does not divide', 'clip.vision.projector.scale_factor', u32(3), 'bad-config'],
    ['an eps below zero', 'clip.vision.attention.layer_norm_epsilon', f32(-1), 'bad-config'],
  ])('refuses %s', async (_, key, value, code) => {
    const source = await openVisionCheckpoint(NANO);
    const metadata = new Map([...source.metadata, [key, value]]);
    const read = () => visionConfigFromMetadata(metadata, source.tensors, 'x.gguf');
    expect(read).toThrow(expect.objectContaining({ code }));
    await source.close();
  });

  it('refuses a file without the adapter, and normalisation by nothing', async () => {
    const source = await openVisionCheckpoint(NANO);
    const read = () => visionConfigFromMetadata(source.metadata, new Map(), 'x.gguf');
    expect(read).toThrow(expect.objectContaining({ code: 'missing-tensor' }));
    for (const std of [[0.5, 0, 0.5], [1], [Number.NaN, 1, 1]]) {
      const metadata = new Map([['clip.vision.image_std', list('float32', std)]]);
      expect(() => normalisationFromMetadata(metadata, 'x')).toThrow(
        expect.objectContaining({ code: 'bad-config' }),
      );
    }
    await source.close();
  });
});

it('refuses a tower whose norm has both names', () => {
  const info = (name: string): TensorInfo => ({ name, type: 'F32', shape: [4], bytes: 16 });
  const names = ['v.blk.0.ln2.weight', 'v.blk.0.attn_post_norm.weight'];
  const source = {
    path: 'x.gguf',
    metadata: new Map(),
    tensors: new Map(names.map((name) => [name, info(name)])),
    readRows: async () => {},
    close: async () => {},
  };
  expect(() => rightlyNamed(source)).toThrow(/expected one of the two/);
});
