import { describe, expect, it } from 'vitest';
import { Canvas } from './canvas.js';
import { opacity } from './color.js';
import { Path } from './path.js';

function drawn(draw: (ctx: NonNullable<ReturnType<Canvas['getContext']>> & Record<string, unknown>) => void) {
  const canvas = new Canvas(200, 100);
  draw(canvas.getContext('2d') as never);
  return canvas.displayList.shapes;
}

describe('Context2D', () => {
  it('records forms in pixels of the canvas, whatever the transformation', () => {
    const shapes = drawn((ctx) => {
      ctx.translate(100, 50);
      ctx.rotate(Math.PI / 2);
      ctx.scale(2, 2);
      ctx.fillRect(0, 0, 10, 5);
      ctx.beginPath();
      ctx.arc(10, 0, 3, 0, 2 * Math.PI);
      ctx.stroke();
    });
    const [rect, circle] = shapes;
    expect(rect).toMatchObject({ kind: 'rect', paint: 'fill', color: '#000000' });
    for (const [found, expected] of [
      [rect!.x, 95],
      [rect!.y, 60],
      [rect!.width, 10],
      [rect!.height, 20],
    ]) {
      expect(found).toBeCloseTo(expected!);
    }
    expect(circle).toMatchObject({ kind: 'circle', paint: 'stroke' });
    for (const [found, expected] of [
      [circle!.x, 100],
      [circle!.y, 70],
      [circle!.width, 12],
    ]) {
      expect(found).toBeCloseTo(expected!);
    }
  });

  it('tells rectangles, polygons, lines and parts of circles apart', () => {
    const path = (points: [number, number][], close: boolean) =>
      drawn((ctx) => {
        ctx.beginPath();
        for (const [x, y] of points) ctx.lineTo(x, y);
        if (close) ctx.closePath();
        ctx.stroke();
      }).map(({ kind, points: corners }) => [kind, corners?.length]);
    expect(
      path(
        [
          [0, 0],
          [10, 0],
          [10, 5],
          [0, 5],
          [0, 0],
        ],
        false,
      ),
    ).toEqual([['rect', 4]]);
    expect(
      path(
        [
          [0, 0],
          [10, 10],
        ],
        false,
      ),
    ).toEqual([['line', 2]]);
    expect(
      path(
        [
          [0, 0],
          [10, 10],
          [0, 10],
        ],
        true,
      ),
    ).toEqual([['polygon', 3]]);
    expect(path([[5, 5]], true)).toEqual([]);
    const [half] = drawn((ctx) => {
      ctx.arc(50, 50, 10, 0, Math.PI);
      ctx.fill();
    });
    expect(half).toMatchObject({ kind: 'polygon', x: 50, y: 55, width: 20, height: 10 });
    const two = drawn((ctx) => {
      ctx.arc(20, 20, 5, 0, 7);
      ctx.arc(60, 20, 5, 0, 7);
      ctx.fill();
    });
    expect(two.map(({ kind, x }) => [kind, x])).toEqual([
      ['circle', 20],
      ['circle', 60],
    ]);
  });

  it('keeps what is on top, and no more', () => {
    const colors = (draw: Parameters<typeof drawn>[0]) => drawn(draw).map(({ color }) => color);
    const scene = (ctx: Parameters<Parameters<typeof drawn>[0]>[0], last: string, x = 0) => {
      for (const [color, left] of [
        ['red', 10],
        ['blue', 190],
      ] as const) {
        ctx.fillStyle = color;
        ctx.fillRect(left, 10, 20, 20);
      }
      ctx.fillStyle = last;
      ctx.fillRect(x, 0, 200, 100);
    };
    expect(colors((ctx) => scene(ctx, 'white'))).toEqual(['white']);
    expect(colors((ctx) => scene(ctx, 'rgba(0, 0, 0, 0.1)'))).toEqual(['rgba(0, 0, 0, 0.1)']);
    expect(colors((ctx) => scene(ctx, 'white', 15))).toEqual(['red', 'white']);
    expect(colors((ctx) => scene(ctx, 'rgba(0, 0, 0, 0.1)', 15))).toEqual([
      'red',
      'blue',
      'rgba(0, 0, 0, 0.1)',
    ]);
    expect(colors((ctx) => scene(ctx, 'transparent'))).toEqual(['red', 'blue']);
    expect(
      colors((ctx) => {
        scene(ctx, 'white');
        ctx.clearRect(0, 0, 200, 100);
      }),
    ).toEqual([]);
    expect(
      colors((ctx) => {
        scene(ctx, 'white');
        ctx.canvas.width = 200;
      }),
    ).toEqual([]);
  });

  it('finds the middle of texts', () => {
    const middle = (textAlign: string, textBaseline: string) => {
      const [text] = drawn((ctx) => {
        Object.assign(ctx, { font: 'bold 20px Arial', textAlign, textBaseline });
        ctx.fillText('1234', 100, 50);
      });
      return [text!.x, text!.y];
    };
    expect(middle('center', 'middle')).toEqual([100, 50]);
    expect(middle('left', 'top')).toEqual([122, 60]);
    expect(middle('right', 'bottom')).toEqual([78, 40]);
  });

  it('draws paths and canvases that were made apart', () => {
    const [circle] = drawn((ctx) => {
      const path = new Path();
      path.arc(0, 0, 5, 0, 7);
      ctx.translate(30, 40);
      ctx.fill(path);
    });
    expect(circle).toMatchObject({ kind: 'circle', x: 30, y: 40, width: 10 });
    const [copy] = drawn((ctx) => {
      const other = new Canvas(50, 50);
      other.getContext('2d')!.fillRect(10, 10, 10, 10);
      ctx.drawImage(other, 100, 0, 100, 100);
    });
    expect(copy).toMatchObject({ kind: 'rect', x: 130, y: 30, width: 20, height: 20 });
  });

  it('restores what was saved, and leaves out what is not finite', () => {
    const shapes = drawn((ctx) => {
      ctx.fillStyle = 'red';
      ctx.save();
      ctx.fillStyle = 'blue';
      ctx.translate(50, 0);
      ctx.restore();
      ctx.fillRect(0, 0, 10, 10);
      ctx.fillRect(Number.NaN, 0, 10, 10);
      ctx.arc(Number.NaN, 0, 5, 0, 7);
      ctx.fill();
      ctx.fillText('x', Infinity, 0);
    });
    expect(shapes).toMatchObject([{ color: 'red', x: 5 }]);
  });
});

describe('opacity', () => {
  it.each([
    ['red', 1],
    ['transparent', 0],
    ['#abc', 1],
    ['#abc0', 0],
    ['#aabbcc80', 128 / 255],
    ['rgba(1, 2, 3, 0.5)', 0.5],
    ['rgb(1 2 3 / 25%)', 0.25],
    ['hsl(10, 20%, 30%)', 1],
    ['hsla(10, 20%, 30%, .3)', 0.3],
    ['gradient', 1],
  ])('%s: %f', (style, expected) => expect(opacity(style)).toBeCloseTo(expected));
});
