import type { Buffer } from '../../engine/buffers.js';
import type { Matrix } from '../../engine/matrix.js';
import type { Run, Target } from '../../engine/products.js';
import type { FeedForward, NetworkLayer } from '../../model/network-layout.js';
import type { ExpertRound, NetworkOperations, Rows, StepTokens } from '../../model/network-operations.js';
import { ropeAngles } from '../../model/rope.js';
import { type Routing, routeTokens } from '../../model/routing.js';
import type { TrainKernels } from '../kernels.js';
import type { TrainingLayout } from '../training-layout.js';
import { RouterLoss } from './router-loss.js';
import { MIXED, type Tape, type Value } from './tape.js';
import { attendForTraining } from './training-attention.js';
import { TrainingProducts } from './training-products.js';
import { Weights } from './weights.js';

type Experts = Extract<FeedForward, { kind: 'moe' }>;

/** Where the losses of a step are to be put, and how much of them counts. */
export interface RouterLossPlace {
  /** f32 [layers][maxTokens] */
  readonly address: number;
  /** Factor of every token's loss in what is minimized. */
  factor: number;
}

/**
 * The network's operations for training: a buffer is only a name, every write makes a value, and the tape gets what
 * takes gradients back. Values that are needed again stay in memory; with `checkpointing` just the hidden states between
 * layers do, and a layer is computed again on the way back.
 */
export class TrainingOperations implements NetworkOperations {
  readonly products: TrainingProducts;
  readonly routerLoss: RouterLossPlace;
  /** Embedded pictures: row −1 − id; f32 [maxTokens][width]. */
  readonly pictures: number;
  readonly #tape: Tape;
  readonly #weights: Weights;
  readonly #kernels: TrainKernels;
  readonly #layout: TrainingLayout;
  /** By the offset of the buffer that names them. */
  readonly #values = new Map<number, Value>();
  readonly #routes = new Map<Routing, Value>();
  #step: StepTokens = { ids: new Int32Array(0), sequences: new Int32Array(0), positions: new Int32Array(0) };
  #layer = 0;
  #carry = 0;

  constructor(tape: Tape, kernels: TrainKernels, layout: TrainingLayout) {
    this.#tape = tape;
    this.#kernels = kernels;
    this.#layout = layout;
    this.#weights = new Weights(tape.lane, kernels, layout.scratch);
    this.products = new TrainingProducts(tape, this.#weights, kernels, layout);
    this.routerLoss = { address: layout.places.routerLoss, factor: 0 };
    this.pictures = layout.places.pictures;
  }

  /** What a buffer was last written with. */
  valueOf(buffer: Buffer): Value {
    const value = this.#values.get(buffer.offset);
    if (value === undefined) throw new Error('the network read a buffer before it wrote it');
    return value;
  }

  begin(step: StepTokens): void {
    this.#step = step;
    this.#values.clear();
    this.#routes.clear();
    this.#carry = this.#tape.allocate(step.ids.length * this.#layout.config.embeddingLength * 4);
  }

  /** Room for the gradient of the hidden states between layers. */
  get carry(): number {
    return this.#carry;
  }

  layer(index: number, hidden: Buffer, run: () => void): void {
    const tape = this.#tape;
    const input = this.valueOf(hidden);
    if (tape.recording && !this.#layout.checkpointing) {
      const mark = tape.mark();
      tape.record(() => this.#leaveLayer(input, mark));
      this.#layer = index;
      run();
      return;
    }
    const address = tape.allocate(input.rows * input.columns * 4);
    const mark = tape.mark();
    const entries = tape.length;
    this.#layer = index;
    run();
    const computed = this.valueOf(hidden);
    tape.forget(entries);
    const output = tape.value(input.rows, input.columns, computed.needs, address);
    tape.reads(computed, computed.rows);
    tape.copyOwn(computed.address, address, output);
    this.#values.set(hidden.offset, output);
    tape.release(mark);
    tape.record(() => {
      const gradient = output.gradient;
      if (gradient === undefined) return;
      const again = tape.mark();
      const first = tape.length;
      this.#layer = index;
      this.#values.set(hidden.offset, input);
      run();
      this.valueOf(hidden).gradient = gradient;
      tape.playBack(first);
      this.#leaveLayer(input, again);
    });
  }

  /** Ends a layer's way back: all that is left of it is the gradient of its input. */
  #leaveLayer(input: Value, mark: number): void {
    const tape = this.#tape;
    tape.runDeferred();
    const gradient = input.gradient;
    if (gradient !== undefined && gradient.address !== this.#carry) {
      // Until now it held the gradient of the layer's output.
      tape.barrier();
      tape.copyOwn(gradient.address, this.#carry, input);
    }
    tape.release(mark);
    if (gradient !== undefined) input.gradient = tape.gradientAt(this.#carry, input.rows, true);
  }

  embed(matrix: Matrix, ids: Int32Array, y: Buffer): void {
    const tape = this.#tape;
    const { lane } = tape;
    const gradients = this.#layout.gradients.get(matrix.name);
    const value = tape.value(ids.length, y.columns, gradients !== undefined);
    const rowBytes = y.columns * 4;
    const [start, end] = lane.share(ids.length);
    for (let t = start; t < end; t++) {
      const id = ids[t]!;
      const to = value.address + t * rowBytes;
      if (id < 0) {
        const from = this.pictures + (-1 - id) * rowBytes;
        lane.home.u8.copyWithin(to, from, from + rowBytes);
      } else {
        const [p, row] = pieceOf(matrix, id);
        this.#weights.unpackRows(matrix, matrix.pieces[p]!, row, 1, to);
      }
    }
    this.#values.set(y.offset, value);
    if (gradients === undefined) return;
    tape.record(() => {
      const dy = value.gradient;
      if (dy === undefined) return;
      tape.defer(() => {
        const [first, last] = lane.share(matrix.pieces.reduce((sum, { rows }) => sum + rows, 0));
        for (let t = 0; t < ids.length; t++) {
          const id = ids[t]!;
          if (id < first || id >= last) continue;
          const [p, row] = pieceOf(matrix, id);
          const piece = matrix.pieces[p]!;
          const at = gradients[p]! + row * rowBytes;
          this.#weights.addRow(piece.arena, at, dy.address + t * rowBytes, y.columns);
        }
      });
    });
  }

  rmsNorm(xBuffer: Buffer, weight: number, yBuffer: Buffer, rows: number): void {
    const tape = this.#tape;
    const { lane } = tape;
    const { kernels } = lane.home;
    const eps = this.#layout.config.rmsEps;
    const gradient = this.#layout.vectorGradients.get(weight);
    const x = this.valueOf(xBuffer);
    const { columns } = x;
    const y = tape.value(rows, columns, x.needs || gradient !== undefined);
    tape.reads(x, rows);
    const [start, end] = lane.share(rows);
    for (let at = start * columns * 4; at < end * columns * 4; at += columns * 4) {
      kernels.rmsNorm(x.address + at, weight, y.address + at, columns, eps);
    }
    this.#values.set(yBuffer.offset, y);
    tape.record(() => {
      const dy = y.gradient;
      if (dy === undefined) return;
      if (gradient !== undefined) {
        tape.defer(() => {
          const [first, last] = lane.share(columns, 16);
          if (last <= first) return;
          this.#kernels.rmsNormWeightBackward(
            x.address,
            dy.address,
            gradient,
            rows,
            columns,
            first,
            last,
            eps,
          );
        });
      }
      if (!x.needs) return;
      tape.reads(dy, rows);
      const { address, accumulate } = tape.contribution(x);
      for (let at = start * columns * 4; at < end * columns * 4; at += columns * 4) {
        this.#kernels.rmsNormBackward(
          x.address + at,
          weight,
          dy.address + at,
          address + at,
          columns,
          eps,
          Number(accumulate),
        );
      }
    });
  }

  multiply(x: Buffer, { runs }: Rows, targets: readonly Target[]): void {
    const input = this.valueOf(x);
    for (const { matrix, y, accumulate } of targets) {
      const before = accumulate === true ? this.valueOf(y) : undefined;
      this.#values.set(y.offset, this.products.multiply(input, runs, matrix, y.columns, before));
    }
  }

  multiplyGated(x: Buffer, rows: Rows, gateTarget: Target, upTarget: Target): void {
    this.multiply(x, rows, [gateTarget, upTarget]);
    const tape = this.#tape;
    const gate = this.valueOf(gateTarget.y);
    const up = this.valueOf(upTarget.y);
    const inner = tape.value(gate.rows, gate.columns, gate.needs || up.needs);
    const [start, end] = tape.lane.share(gate.rows);
    const at = start * gate.columns * 4;
    const floats = (end - start) * gate.columns;
    if (floats > 0) {
      this.#kernels.siluMultiply(gate.address + at, up.address + at, inner.address + at, floats);
    }
    this.#values.set(gateTarget.y.offset, inner);
    tape.record(() => {
      const dInner = inner.gradient;
      if (dInner === undefined) return;
      tape.reads(dInner, inner.rows);
      // Both are this value's alone.
      const dGate = tape.contribution(gate);
      const dUp = tape.contribution(up);
      if (floats === 0) return;
      this.#kernels.siluMultiplyBackward(
        gate.address + at,
        up.address + at,
        dInner.address + at,
        dGate.address + at,
        dUp.address + at,
        floats,
      );
    });
  }

  prepareAngles(frequencies: Float32Array, positions: Int32Array, angles: Buffer): void {
    const { lane } = this.#tape;
    const value = this.#tape.value(positions.length, angles.columns, false);
    const [start, end] = lane.share(positions.length);
    for (let t = start; t < end; t++) {
      const at = value.address / 4 + t * angles.columns;
      ropeAngles(frequencies, positions[t]!, lane.home.f32.subarray(at, at + angles.columns));
    }
    this.#values.set(angles.offset, value);
  }

  rotate(xBuffer: Buffer, anglesBuffer: Buffer, rows: number): void {
    const { headDim } = this.#layout.config;
    const angles = this.valueOf(anglesBuffer);
    const turn = (address: number, columns: number, kernel: TrainKernels['ropeInterleavedBackward']) => {
      const [start, end] = this.#tape.lane.share(rows);
      for (let t = start; t < end; t++) {
        kernel(address + t * columns * 4, angles.address + t * headDim * 4, columns / headDim, headDim);
      }
    };
    this.#inPlace(
      xBuffer,
      (address, columns) => turn(address, columns, this.#tape.lane.home.kernels.ropeInterleaved),
      (address, columns) => turn(address, columns, this.#kernels.ropeInterleavedBackward),
    );
  }

  scaleRows(xBuffer: Buffer, rows: number, factor: (row: number) => number): void {
    const { lane } = this.#tape;
    const scale = (address: number, columns: number) => {
      const [start, end] = lane.share(rows);
      for (let t = start; t < end; t++) {
        lane.home.kernels.scale(address + t * columns * 4, factor(t), columns);
      }
    };
    this.#inPlace(xBuffer, scale, scale);
  }

  /** A linear operation on rows of a value that nothing else reads, and then on those of its gradient. */
  #inPlace(
    buffer: Buffer,
    forward: (address: number, columns: number) => void,
    back: (address: number, columns: number) => void,
  ): void {
    const tape = this.#tape;
    const x = this.valueOf(buffer);
    tape.reads(x, x.rows);
    forward(x.address, x.columns);
    const y = tape.value(x.rows, x.columns, x.needs, x.address);
    this.#values.set(buffer.offset, y);
    tape.record(() => {
      const dy = y.gradient;
      if (dy === undefined) return;
      tape.reads(dy, y.rows);
      back(dy.address, y.columns);
      x.gradient = tape.gradientAt(dy.address, y.rows, false);
    });
  }

  normHeads(buffer: Buffer, rows: number): void {
    const tape = this.#tape;
    const { headDim, rmsEps } = this.#layout.config;
    const x = this.valueOf(buffer);
    const y = tape.value(rows, x.columns, x.needs);
    tape.reads(x, rows);
    const [start, end] = tape.lane.share(rows).map((row) => row * x.columns * 4) as [number, number];
    const { kernels } = tape.lane.home;
    for (let at = start; at < end; at += headDim * 4) {
      kernels.rmsNorm(x.address + at, 0, y.address + at, headDim, rmsEps);
    }
    this.#values.set(buffer.offset, y);
    tape.record(() => {
      const dy = y.gradient;
      if (dy === undefined || !x.needs) return;
      tape.reads(dy, rows);
      const dx = tape.contribution(x);
      for (let at = start; at < end; at += headDim * 4) {
        this.#kernels.rmsNormBackward(
          x.address + at,
          0,
          dy.address + at,
          dx.address + at,
          headDim,
          rmsEps,
          Number(dx.accumulate),
        );
      }
    });
  }

  attend(index: number, q: Buffer, k: Buffer, v: Buffer, out: Buffer): void {
    const values = { q: this.valueOf(q), k: this.valueOf(k), v: this.valueOf(v) };
    const { config } = this.#layout;
    const attended = attendForTraining(
      this.#tape,
      this.#kernels,
      this.#weights.scratch,
      config,
      index,
      values,
      this.#step.sequences,
    );
    this.#values.set(out.offset, attended);
  }

  route(buffer: Buffer, tokens: number): Routing {
    const tape = this.#tape;
    const { f32 } = tape.lane.home;
    const { expertCount, expertUsedCount } = this.#layout.config;
    const logits = this.valueOf(buffer);
    tape.reads(logits);
    const first = logits.address / 4;
    const values = f32.subarray(first, first + tokens * expertCount);
    const routing = routeTokens(values, tokens, expertCount, expertUsedCount);
    this.#routes.set(routing, logits);
    const loss = new RouterLoss(routing);
    const row = (address: number, t: number) =>
      f32.subarray(address / 4 + t * expertCount, address / 4 + (t + 1) * expertCount);
    const [start, end] = tape.lane.share(tokens);
    const losses = this.routerLoss.address / 4 + this.#layer * this.#layout.maxTokens;
    for (let t = start; t < end; t++) f32[losses + t] = loss.ofToken(row(logits.address, t));
    const { factor } = this.routerLoss;
    if (factor === 0 || !logits.needs) return routing;
    tape.record(() => {
      const gradient = tape.zeroedContribution(logits);
      for (let t = start; t < end; t++) loss.addGradient(row(logits.address, t), factor, row(gradient, t));
    });
    return routing;
  }

  gather(xBuffer: Buffer, routing: Routing, yBuffer: Buffer): void {
    const tape = this.#tape;
    const { kernels } = tape.lane.home;
    const { tokens, scores } = routing;
    const x = this.valueOf(xBuffer);
    const logits = this.#routes.get(routing)!;
    const { columns } = x;
    const y = tape.value(tokens.length, columns, x.needs || logits.needs);
    const rowBytes = columns * 4;
    tape.reads(x);
    const [start, end] = tape.lane.share(tokens.length);
    for (let i = start; i < end; i++) {
      kernels.scaleInto(x.address + tokens[i]! * rowBytes, y.address + i * rowBytes, scores[i]!, columns);
    }
    this.#values.set(yBuffer.offset, y);
    tape.record(() => {
      const dy = y.gradient;
      if (dy === undefined) return;
      tape.reads(dy);
      const [first, last] = tape.lane.share(x.rows);
      if (logits.needs) this.#scoreGradients(x, routing, dy.address, logits);
      if (!x.needs) return;
      const dx = tape.zeroedContribution(x);
      const scaled = tape.lane.home.scratch + this.#layout.scratch.row;
      for (let i = 0; i < tokens.length; i++) {
        const token = tokens[i]!;
        if (token < first || token >= last) continue;
        kernels.scaleInto(dy.address + i * rowBytes, scaled, scores[i]!, columns);
        kernels.add(scaled, dx + token * rowBytes, columns);
      }
    });
  }

  /** Gradients of logits, by way of the scores that a token's rows were multiplied with. */
  #scoreGradients(x: Value, { tokens, scores, starts }: Routing, dy: number, logits: Value): void {
    const tape = this.#tape;
    const { f32, scratch } = tape.lane.home;
    const gradient = tape.zeroedContribution(logits) / 4;
    const [first, last] = tape.lane.share(x.rows);
    const dot = scratch + this.#layout.scratch.row;
    const { columns } = x;
    for (let expert = 0; expert < logits.columns; expert++) {
      for (let i = starts[expert]!; i < starts[expert + 1]!; i++) {
        const token = tokens[i]!;
        if (token < first || token >= last) continue;
        const from = x.address + token * columns * 4;
        const row = dy + i * columns * 4;
        this.#kernels.productNT(from, columns, row, columns, dot, 1, 1, 1, columns, 0, this.#weights.scratch);
        const score = scores[i]!;
        f32[gradient + token * logits.columns + expert]! += f32[dot / 4]! * score * (1 - score);
      }
    }
  }

  scatter(xBuffer: Buffer, { tokens }: Routing, yBuffer: Buffer): void {
    const tape = this.#tape;
    const { kernels } = tape.lane.home;
    const x = this.valueOf(xBuffer);
    const before = this.valueOf(yBuffer);
    const { columns } = x;
    const rowBytes = columns * 4;
    const y = tape.value(before.rows, columns, x.needs || before.needs);
    tape.reads(before, before.rows);
    tape.reads(x);
    tape.copyOwn(before.address, y.address, y);
    const [first, last] = tape.lane.share(before.rows);
    for (let i = 0; i < tokens.length; i++) {
      const token = tokens[i]!;
      if (token < first || token >= last) continue;
      kernels.add(x.address + i * rowBytes, y.address + token * rowBytes, columns);
    }
    this.#values.set(yBuffer.offset, y);
    tape.record(() => {
      const dy = y.gradient;
      if (dy === undefined) return;
      tape.share(before, dy);
      if (x.needs) this.#copyRows(dy, tokens, x);
    });
  }

  /** The gradient of x, whose only reader took row i to row rows[i] of another value with gradient dy. */
  #copyRows(dy: { address: number; partition: number; epoch: number }, rows: Int32Array, x: Value): void {
    const tape = this.#tape;
    tape.reads(dy);
    const { address } = tape.contribution(x);
    const rowBytes = x.columns * 4;
    const [start, end] = tape.lane.share(rows.length);
    for (let i = start; i < end; i++) {
      const from = dy.address + rows[i]! * rowBytes;
      tape.lane.home.u8.copyWithin(address + i * rowBytes, from, from + rowBytes);
    }
  }

  experts(_index: number, { feedForward }: NetworkLayer, runs: readonly Run[]): Iterable<ExpertRound> {
    const { gateExperts: gate, upExperts: up, downExperts: down } = feedForward as Experts;
    return [{ runs, gate, up, down }];
  }

  /** The gradient of `x` has to exist: rows add to it. */
  pick(xBuffer: Buffer, rows: Int32Array, yBuffer: Buffer): void {
    const tape = this.#tape;
    const { home } = tape.lane;
    const x = this.valueOf(xBuffer);
    const { columns } = x;
    const rowBytes = columns * 4;
    const y = tape.value(rows.length, columns, x.needs);
    tape.reads(x);
    const [start, end] = tape.lane.share(rows.length);
    for (let i = start; i < end; i++) {
      const from = x.address + rows[i]! * rowBytes;
      home.u8.copyWithin(y.address + i * rowBytes, from, from + rowBytes);
    }
    this.#values.set(yBuffer.offset, y);
    tape.record(() => {
      const dy = y.gradient;
      const dx = x.gradient;
      if (dy === undefined || dx === undefined) return;
      tape.reads(dy, y.rows);
      tape.reads(dx);
      for (let i = start; i < end; i++) {
        home.kernels.add(dy.address + i * rowBytes, dx.address + rows[i]! * rowBytes, columns);
      }
      tape.wrote(dx, MIXED);
    });
  }

  end(): void {}
}

/** The piece of a matrix, and the row in it. */
function pieceOf(matrix: Matrix, row: number): [piece: number, row: number] {
  let p = 0;
  for (; row >= matrix.pieces[p]!.rows; p++) row -= matrix.pieces[p]!.rows;
  return [p, row];
}
