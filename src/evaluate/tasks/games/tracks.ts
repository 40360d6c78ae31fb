import type { Shape } from '../host/display-list.js';
import type { Screen } from '../host/window.js';

/** The same thing in several frames. */
export interface Track {
  readonly key: string;
  /** One per frame. */
  readonly shapes: readonly Shape[];
}

/**
 * Shapes by what stays the same from frame to frame: how they are painted, and which of the shapes painted so they
 * are, in drawing order.
 */
export function keyedShapes(screen: Screen): Map<string, Shape> {
  const counts = new Map<string, number>();
  const keyed = new Map<string, Shape>();
  for (const shape of screen.shapes) {
    const paint = `${shape.kind} ${shape.paint} ${shape.color}`;
    const count = counts.get(paint) ?? 0;
    counts.set(paint, count + 1);
    keyed.set(`${paint} ${count}`, shape);
  }
  return keyed;
}

/** Shapes that are there in all of `screens`. */
export function tracks(screens: readonly Screen[]): Track[] {
  const frames = screens.map(keyedShapes);
  const [first] = frames;
  return [...(first?.keys() ?? [])].flatMap((key) => {
    const shapes = frames.flatMap((frame) => frame.get(key) ?? []);
    return shapes.length === frames.length ? [{ key, shapes }] : [];
  });
}

export function left({ x, width }: Shape): number {
  return x - width / 2;
}

export function right({ x, width }: Shape): number {
  return x + width / 2;
}

export function top({ y, height }: Shape): number {
  return y - height / 2;
}

export function bottom({ y, height }: Shape): number {
  return y + height / 2;
}

/** Whole numbers in the texts of a screen, in order. */
export function numbers(texts: readonly string[]): number[] {
  return texts.flatMap((text) => [...text.matchAll(/\d+/g)].map(([digits]) => Number(digits)));
}
