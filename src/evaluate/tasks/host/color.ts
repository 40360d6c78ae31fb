/** How much a style hides of what is beneath it, from 0 to 1; 1 where it cannot be told. */
export function opacity(style: string): number {
  const text = style.trim().toLowerCase();
  if (text === 'transparent') return 0;
  const hex = /^#(?:[0-9a-f]{3}([0-9a-f])|[0-9a-f]{6}([0-9a-f]{2}))$/.exec(text);
  if (hex) return hex[1] ? Number.parseInt(hex[1], 16) / 15 : Number.parseInt(hex[2]!, 16) / 255;
  const list = /^(?:rgb|hsl)a?\(([^()]*)\)$/
    .exec(text)?.[1]
    ?.split(/[\s,/]+/)
    .filter(Boolean);
  const alpha = list?.[3];
  if (alpha === undefined) return 1;
  const value = Number.parseFloat(alpha) / (alpha.endsWith('%') ? 100 : 1);
  return Number.isNaN(value) ? 1 : Math.min(1, Math.max(0, value));
}
