/** Name of one part, as llama.cpp writes it: `PREFIX-00001-of-00003.gguf`. `index` counts from 0. */
export function splitPath(prefix: string, index: number, count: number): string {
  const digits = (n: number) => String(n).padStart(5, '0');
  return `${prefix}-${digits(index + 1)}-of-${digits(count)}.gguf`;
}

/** Undoes `splitPath`; undefined for other names. */
export function parseSplitPath(path: string): { prefix: string; index: number; count: number } | undefined {
  const match = /^(.+)-(\d{5})-of-(\d{5})\.gguf$/s.exec(path);
  if (match === null) return undefined;
  return { prefix: match[1]!, index: Number(match[2]) - 1, count: Number(match[3]) };
}
