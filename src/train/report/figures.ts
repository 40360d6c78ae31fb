/** Four significant digits, without zeros behind them. */
export function decimal(value: number): string {
  return Number.isFinite(value) ? String(Number(value.toPrecision(4))) : '–';
}

/** Digits in groups of three. */
export function grouped(value: number): string {
  return value.toLocaleString('en');
}

/** `12:05`, `3:04:05` or `2d 03:04:05`. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '–';
  const whole = Math.max(0, Math.round(seconds));
  const [days, hours] = [Math.floor(whole / 86400), Math.floor(whole / 3600) % 24];
  const two = (value: number) => String(value).padStart(2, '0');
  const minutes = two(Math.floor(whole / 60) % 60);
  const rest = two(whole % 60);
  if (days > 0) return `${days}d ${two(hours)}:${minutes}:${rest}`;
  return hours > 0 ? `${hours}:${minutes}:${rest}` : `${Number(minutes)}:${rest}`;
}
