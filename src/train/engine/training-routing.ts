import { type Routing, routeTokens } from '../../model/routing.js';
import type { TrainKernels } from '../kernels.js';
import type { TrainingLayout } from '../training-layout.js';
import { RouterLoss } from './router-loss.js';
import type { Gradient, Tape, Value } from './tape.js';

/** Tokens to experts and back, with gradients of the scores and of the routers' loss. */
export class TrainingRouting {
  /** Of every token's loss (`RouterLoss`) in what is minimized. */
  lossFactor = 0;
  readonly #tape: Tape;
  readonly #kernels: TrainKernels;
  readonly #layout: TrainingLayout;
  readonly #scratch: number;
  /** The logits that a routing follows from. */
  readonly #logits = new Map<Routing, Value>();

  /** @param scratch for the kernels */
  constructor(tape: Tape, kernels: TrainKernels, layout: TrainingLayout, scratch: number) {
    this.#tape = tape;
    this.#kernels = kernels;
    this.#layout = layout;
    this.#scratch = scratch;
  }

  clear(): void {
    this.#logits.clear();
  }

  /** Every lane works the routing out for itself, and the losses of its own tokens. */
  route(logits: Value, tokens: number, layer: number): Routing {
    const tape = this.#tape;
    const { f32 } = tape.lane.home;
    const { config, places, maxTokens } = this.#layout;
    const { expertCount, expertUsedCount } = config;
    tape.reads(logits);
    const first = logits.address / 4;
    const values = f32.subarray(first, first + tokens * expertCount);
    const routing = routeTokens(values, tokens, expertCount, expertUsedCount);
    this.#logits.set(routing, logits);
    const loss = new RouterLoss(routing);
    const row = (address: number, t: number) =>
      f32.subarray(address / 4 + t * expertCount, address / 4 + (t + 1) * expertCount);
    const [start, end] = tape.lane.share(tokens);
    const losses = places.routerLoss / 4 + layer * maxTokens;
    for (let t = start; t < end; t++) f32[losses + t] = loss.ofToken(row(logits.address, t));
    const factor = this.lossFactor;
    if (factor === 0 || !logits.needs) return routing;
    tape.record(() => {
      const gradient = tape.zeroedContribution(logits);
      for (let t = start; t < end; t++) loss.addGradient(row(logits.address, t), factor, row(gradient, t));
    });
    return routing;
  }

  /** y[i] = score[i] × x[token of i] */
  gather(x: Value, routing: Routing): Value {
    const tape = this.#tape;
    const { kernels } = tape.lane.home;
    const { tokens, scores } = routing;
    const logits = this.#logits.get(routing)!;
    const { columns } = x;
    const y = tape.value(tokens.length, columns, x.needs || logits.needs);
    const rowBytes = columns * 4;
    tape.reads(x);
    const [start, end] = tape.lane.share(tokens.length);
    for (let i = start; i < end; i++) {
      kernels.scaleInto(x.address + tokens[i]! * rowBytes, y.address + i * rowBytes, scores[i]!, columns);
    }
    tape.record(() => {
      const dy = y.gradient;
      if (dy === undefined) return;
      tape.reads(dy);
      if (logits.needs) this.#addScoreGradients(x, routing, dy, logits);
      if (!x.needs) return;
      const dx = tape.zeroedContribution(x);
      const scaled = tape.lane.home.scratch + this.#layout.scratch.row;
      this.#ownRows(tokens, x.rows, (i, token) => {
        kernels.scaleInto(dy.address + i * rowBytes, scaled, scores[i]!, columns);
        kernels.add(scaled, dx + token * rowBytes, columns);
      });
    });
    return y;
  }

  /** By way of the scores, σ(logit), that a token's rows were multiplied with. */
  #addScoreGradients(x: Value, { tokens, scores, starts }: Routing, dy: Gradient, logits: Value): void {
    const tape = this.#tape;
    const { home } = tape.lane;
    const gradient = tape.zeroedContribution(logits) / 4;
    const dot = home.scratch + this.#layout.scratch.row;
    const { columns } = x;
    const rowBytes = columns * 4;
    let expert = 0;
    this.#ownRows(tokens, x.rows, (i, token) => {
      while (i >= starts[expert + 1]!) expert++;
      const [from, row] = [x.address + token * rowBytes, dy.address + i * rowBytes];
      this.#kernels.productNT(from, columns, row, columns, dot, 1, 1, 1, columns, 0, this.#scratch);
      const score = scores[i]!;
      home.f32[gradient + token * logits.columns + expert]! += home.f32[dot / 4]! * score * (1 - score);
    });
  }

  /** before[token of i] + x[i] */
  scatter(x: Value, { tokens }: Routing, before: Value): Value {
    const tape = this.#tape;
    const { home } = tape.lane;
    const { columns } = x;
    const rowBytes = columns * 4;
    const y = tape.value(before.rows, columns, x.needs || before.needs);
    tape.reads(before, before.rows);
    tape.reads(x);
    tape.copyOwn(before.address, y.address, y);
    this.#ownRows(tokens, before.rows, (i, token) => {
      home.kernels.add(x.address + i * rowBytes, y.address + token * rowBytes, columns);
    });
    tape.record(() => {
      const dy = y.gradient;
      if (dy === undefined) return;
      tape.share(before, dy);
      if (!x.needs) return;
      tape.reads(dy);
      // It had none before: no one else reads x.
      const { address } = tape.contribution(x);
      const [start, end] = tape.lane.share(tokens.length);
      for (let i = start; i < end; i++) {
        const from = dy.address + tokens[i]! * rowBytes;
        home.u8.copyWithin(address + i * rowBytes, from, from + rowBytes);
      }
    });
    return y;
  }

  /** The rows whose tokens this lane owns, in the order of experts. */
  #ownRows(tokens: Int32Array, count: number, use: (row: number, token: number) => void): void {
    const [first, last] = this.#tape.lane.share(count);
    for (let i = 0; i < tokens.length; i++) {
      const token = tokens[i]!;
      if (token >= first && token < last) use(i, token);
    }
  }
}
