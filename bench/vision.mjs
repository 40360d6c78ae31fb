// Scout's vision tower with random weights: seconds per tile, tokens and floating-point operations per second, of the
// clock and of processor time, which other programs disturb less.
import { cpus, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { visionTensorShapes } from '../dist/convert/expected-tensors.js';
import { rowBytes } from '../dist/formats/ggml-types.js';
import { VisionRuntime } from '../dist/model/vision/vision-runtime.js';

const { values } = parseArgs({
  options: {
    threads: { type: 'string', short: 't', default: '2' },
    layers: { type: 'string', default: '34' },
    tiles: { type: 'string', default: '1' },
    rounds: { type: 'string', default: '2' },
    type: { type: 'string', default: 'F16' },
    simd: { type: 'string' },
  },
});
const layerCount = Number(values.layers);
const tiles = Number(values.tiles);

const config = {
  layerCount,
  embeddingLength: 1408,
  headCount: 16,
  feedForwardLength: 5632,
  imageSize: 336,
  patchSize: 14,
  channels: 3,
  layerNormEps: 1e-5,
  ropeTheta: 10_000,
  scaleFactor: 2,
  adapterInput: 4096,
  adapterOutput: 4096,
  projectionLength: 5120,
};

const source = randomTower(config, values.type);
const loadStart = performance.now();
const tower = await VisionRuntime.load(source, { threads: Number(values.threads), simd: values.simd });
const loadSeconds = (performance.now() - loadStart) / 1000;
const pixels = Float32Array.from({ length: tiles * 3 * 336 * 336 }, (_, i) => Math.sin(i * 0.37));
const grid = { rows: 1, columns: 1 };
for (let round = 0; round < Number(values.rounds); round++) {
  const start = performance.now();
  const cpuStart = process.cpuUsage();
  const { rows } = await tower.encode({ grid, count: tiles, pixels });
  const seconds = (performance.now() - start) / 1000;
  const cpu = process.cpuUsage(cpuStart);
  const cpuSeconds = (cpu.user + cpu.system) / 1e6;
  if (!rows.every(Number.isFinite)) throw new Error('rows are not numbers');
  const { multiplyAdds, tokens, rowsOut } = work(config);
  console.log(
    JSON.stringify({
      type: values.type,
      layers: layerCount,
      tiles,
      threads: Number(values.threads),
      loadSeconds,
      seconds,
      secondsPerTile: seconds / tiles,
      patchTokensPerSecond: (tokens * tiles) / seconds,
      rowsPerSecond: (rowsOut * tiles) / seconds,
      gflops: (2 * multiplyAdds * tiles) / seconds / 1e9,
      gflopsPerThreadSecond: (2 * multiplyAdds * tiles) / cpuSeconds / 1e9,
      cpu: cpus()[0].model,
      load: loadavg()[0],
    }),
  );
}
await tower.close();

/** Multiply-adds of a tile. */
function work({ embeddingLength: width, feedForwardLength: inner, ...rest }) {
  const patches = (rest.imageSize / rest.patchSize) ** 2;
  const tokens = patches + 1;
  const rowsOut = patches / rest.scaleFactor ** 2;
  const layer = tokens * (4 * width ** 2 + 2 * width * inner) + 2 * tokens ** 2 * width;
  const adapter =
    rowsOut *
    (width * rest.scaleFactor ** 2 * rest.adapterInput +
      rest.adapterInput * rest.adapterOutput +
      rest.adapterOutput * rest.projectionLength);
  const embedding = patches * width * rest.channels * rest.patchSize ** 2;
  return { multiplyAdds: rest.layerCount * layer + adapter + embedding, tokens, rowsOut };
}

/** Small random weights; norms that change nothing. */
function randomTower(config, type) {
  const tensors = new Map();
  for (const [name, shape] of visionTensorShapes(config)) {
    const vector = shape.length === 1 || name === 'v.patch_embd.weight' || name === 'v.position_embd.weight';
    const stored = vector ? 'F32' : type;
    const rows = shape.slice(1).reduce((a, b) => a * b, 1);
    tensors.set(name, { name, type: stored, shape, bytes: rows * rowBytes(stored, shape[0]) });
  }
  const text = (value) => ({ type: 'string', value });
  const u32 = (value) => ({ type: 'uint32', value });
  const metadata = new Map([
    ['general.architecture', text('clip')],
    ['clip.projector_type', text('llama4')],
    ['clip.vision.block_count', u32(config.layerCount)],
    ['clip.vision.embedding_length', u32(config.embeddingLength)],
    ['clip.vision.attention.head_count', u32(config.headCount)],
    ['clip.vision.feed_forward_length', u32(config.feedForwardLength)],
    ['clip.vision.image_size', u32(config.imageSize)],
    ['clip.vision.patch_size', u32(config.patchSize)],
    ['clip.vision.projection_dim', u32(config.projectionLength)],
    ['clip.vision.projector.scale_factor', u32(config.scaleFactor)],
  ]);
  const readRows = async (name, _start, _count, target) => {
    const stored = tensors.get(name).type;
    const bytes = Buffer.from(target.buffer, target.byteOffset, target.byteLength);
    const isFactor = name.endsWith('ln.weight') || /ln[12]\.weight$/.test(name);
    for (let i = 0; i < Math.min(target.length, 65_536); i += stored === 'F32' ? 4 : 2) {
      const value = (Math.random() - 0.5) * 0.04;
      if (stored === 'F32') bytes.writeFloatLE(isFactor ? 1 : value, i);
      // Halves (which are the scales of Q8_0, too) and bfloat16 of about that size.
      else if (stored !== 'BF16')
        bytes.writeUInt16LE((value < 0 ? 0x8000 : 0) | (0x2000 + Math.random() * 0x400), i);
      else bytes.writeUInt16LE((value < 0 ? 0x8000 : 0) | (0x3c00 + Math.random() * 0x80), i);
    }
    for (let i = 65_536; i < target.length; i += 65_536)
      bytes.copyWithin(i, 0, Math.min(65_536, target.length - i));
  };
  return { path: 'random tower', metadata, tensors, readRows, close: async () => {} };
}
