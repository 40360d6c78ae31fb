import type { Buffer } from '../../engine/buffers.js';
import type { Matrix } from '../../engine/matrix.js';
import type { Run, Target } from '../../engine/products.js';
import type { FeedForward, NetworkLayer } from '../../model/network-layout.js';
import type { ExpertRound, NetworkOperations, Rows, StepTokens } from '../../model/network-operations.js';
import { ropeAngles } from '../../model/rope.js';
import type { Routing } from '../../model/routing.js';
import type { TrainKernels } from '../kernels.js';
import type { TrainingLayout } from '../training-layout.js';
import { MIXED, type Tape, type Value } from './tape.js';
import { attendForTraining } from './training-attention.js';
import { gateWithSilu } from './training-gate.js';
import { normalize } from './training-norm.js';
import { TrainingProducts } from './training-products.js';
import { TrainingRouting } from './training-routing.js';
import { Weights } from './weights.js';

type Experts = Extract<FeedForward, { kind: 'moe' }>;

/**
 * The network's operations for training: a buffer is only a name, every write makes a value, and the tape gets what
 * takes gradients back. Values that are needed again stay in memory; with `checkpointing` just the hidden states between
 * layers do, and a layer is computed again on the way back.
 */
export class TrainingOperations implements NetworkOperations {
  readonly products: TrainingProducts;
  readonly routing: TrainingRouting;
  /** Embedded pictures: row −1 − id; f32 [maxTokens][width]. */
  readonly pictures: number;
  readonly #tape: Tape;
  readonly #weights: Weights;
  readonly #kernels: TrainKernels;
  readonly #layout: TrainingLayout;
  /** By the offset of the buffer that names them. */
  readonly #values = new Map<number, Value>();
  #step: StepTokens = { ids: new Int32Array(0), sequences: new Int32Array(0), positions: new Int32Array(0) };
  #layer = 0;
  #carry = 0;

  constructor(tape: Tape, kernels: TrainKernels, layout: TrainingLayout) {
    this.#tape = tape;
    this.#kernels = kernels;
    this.#layout = layout;
    this.#weights = new Weights(tape.lane, kernels, layout.scratch);
    this.products = new TrainingProducts(tape, this.#weights, kernels, layout);
    this.routing = new TrainingRouting(tape, kernels, layout, this.#weights.scratch);
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
    this.routing.clear();
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

  rmsNorm(x: Buffer, weight: number, y: Buffer): void {
    const gradient = this.#layout.vectorGradients.get(weight);
    const norm = { size: x.columns, weight, gradient, eps: this.#layout.config.rmsEps };
    this.#values.set(y.offset, normalize(this.#tape, this.#kernels, this.valueOf(x), norm));
  }

  normHeads(x: Buffer): void {
    const { headDim, rmsEps } = this.#layout.config;
    const norm = { size: headDim, weight: 0, gradient: undefined, eps: rmsEps };
    this.#values.set(x.offset, normalize(this.#tape, this.#kernels, this.valueOf(x), norm));
  }

  multiply(x: Buffer, { runs }: Rows, targets: readonly Target[]): void {
    const input = this.valueOf(x);
    for (const { matrix, y, accumulate } of targets) {
      const before = accumulate === true ? this.valueOf(y) : undefined;
      this.#values.set(y.offset, this.products.multiply(input, runs, matrix, y.columns, before));
    }
  }

  multiplyGated(x: Buffer, rows: Rows, gate: Target, up: Target): void {
    this.multiply(x, rows, [gate, up]);
    const inner = gateWithSilu(this.#tape, this.#kernels, this.valueOf(gate.y), this.valueOf(up.y));
    this.#values.set(gate.y.offset, inner);
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

  route(logits: Buffer, tokens: number): Routing {
    return this.routing.route(this.valueOf(logits), tokens, this.#layer);
  }

  gather(x: Buffer, routing: Routing, y: Buffer): void {
    this.#values.set(y.offset, this.routing.gather(this.valueOf(x), routing));
  }

  scatter(x: Buffer, routing: Routing, y: Buffer): void {
    this.#values.set(y.offset, this.routing.scatter(this.valueOf(x), routing, this.valueOf(y)));
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
