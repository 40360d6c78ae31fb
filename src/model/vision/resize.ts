import { setImmediate as othersTurn } from 'node:timers/promises';
import type { Picture, Size } from './picture.js';

/** One axis of a resize: output i is the sum over j < counts[i] of input[starts[i] + j] × weights[i × taps + j]. */
interface Axis {
  readonly starts: Int32Array;
  readonly counts: Int32Array;
  readonly taps: number;
  /** Fixed point, `precision` fractional bits. */
  readonly weights: Int16Array;
  readonly precision: number;
}

/**
 * Antialiased bilinear resizing of bytes, bit for bit as PyTorch does it on CPUs, which torchvision and so
 * transformers rely on: a triangle filter as wide as the shrinking factor, weights in 16-bit fixed point, each row
 * and then each column rounded to bytes (aten/native/cpu/UpSampleKernel.cpp, after Pillow's Resample.c). Large pictures
 * take a while, in which other work of the event loop gets its turns.
 */
export async function resizePicture(picture: Picture, size: Size): Promise<Picture> {
  const wide = size.width === picture.width ? picture : await resizeRows(picture, size.width);
  return size.height === picture.height ? wide : resizeColumns(wide, size.height);
}

/** Input values between two turns of others: some milliseconds' work. */
const TURN_VALUES = 2 ** 20;

async function resizeRows({ width: from, height, rgb }: Picture, width: number): Promise<Picture> {
  const { starts, counts, taps, weights, precision } = resizeAxis(from, width);
  const out = new Uint8Array(width * height * 3);
  const half = 1 << (precision - 1);
  const turnRows = Math.ceil(TURN_VALUES / (from * 3));
  let target = 0;
  for (let y = 0; y < height; y++) {
    if (y % turnRows === turnRows - 1) await othersTurn();
    for (let x = 0; x < width; x++) {
      let source = (y * from + starts[x]!) * 3;
      let red = half;
      let green = half;
      let blue = half;
      for (let j = x * taps, end = j + counts[x]!; j < end; j++, source += 3) {
        const weight = weights[j]!;
        red += weight * rgb[source]!;
        green += weight * rgb[source + 1]!;
        blue += weight * rgb[source + 2]!;
      }
      // No weight is negative, so sums stay in range but for the roundings of the weights.
      out[target] = Math.min(255, red >> precision);
      out[target + 1] = Math.min(255, green >> precision);
      out[target + 2] = Math.min(255, blue >> precision);
      target += 3;
    }
  }
  return { width, height, rgb: out };
}

async function resizeColumns({ width, height: from, rgb }: Picture, height: number): Promise<Picture> {
  const { starts, counts, taps, weights, precision } = resizeAxis(from, height);
  const rowBytes = width * 3;
  const out = new Uint8Array(rowBytes * height);
  const sums = new Int32Array(rowBytes);
  const turnRows = Math.ceil(TURN_VALUES / (rowBytes * taps));
  for (let y = 0; y < height; y++) {
    if (y % turnRows === turnRows - 1) await othersTurn();
    sums.fill(1 << (precision - 1));
    for (let j = 0; j < counts[y]!; j++) {
      const weight = weights[y * taps + j]!;
      const source = (starts[y]! + j) * rowBytes;
      for (let i = 0; i < rowBytes; i++) sums[i]! += weight * rgb[source + i]!;
    }
    for (let i = 0; i < rowBytes; i++) out[y * rowBytes + i] = Math.min(255, sums[i]! >> precision);
  }
  return { width, height, rgb: out };
}

function resizeAxis(from: number, to: number): Axis {
  const scale = from / to;
  const support = Math.max(1, scale);
  const taps = Math.ceil(support) * 2 + 1;
  const starts = new Int32Array(to);
  const counts = new Int32Array(to);
  const exact = new Float64Array(to * taps);
  let largest = 0;
  for (let i = 0; i < to; i++) {
    const center = scale * (i + 0.5);
    const start = Math.max(0, Math.trunc(center - support + 0.5));
    const count = Math.min(from, Math.trunc(center + support + 0.5)) - start;
    const row = exact.subarray(i * taps, i * taps + count);
    let total = 0;
    for (let j = 0; j < count; j++) {
      const distance = Math.abs((j + start - center + 0.5) / support);
      row[j] = Math.max(0, 1 - distance);
      total += row[j]!;
    }
    for (let j = 0; j < count; j++) {
      row[j]! /= total;
      largest = Math.max(largest, row[j]!);
    }
    starts[i] = start;
    counts[i] = count;
  }
  let precision = 0;
  while (precision < 22 && Math.trunc(0.5 + largest * 2 ** (precision + 1)) < 1 << 15) precision++;
  const weights = Int16Array.from(exact, (weight) => Math.trunc(0.5 + weight * 2 ** precision));
  return { starts, counts, taps, weights, precision };
}
