import { basename } from 'node:path';

/** What is left of file names to tell them apart: without extension, part number and the words all begin with. */
export function fileLabels(paths: readonly string[]): string[] {
  const stems = paths.map((path) => basename(path).replace(/(-\d{5}-of-\d{5})?\.gguf$/i, '') || path);
  const words = stems.map((stem) => stem.split(/(?<=[-_. ])/));
  let shared = 0;
  if (stems.length > 1) {
    const most = Math.min(...words.map((list) => list.length)) - 1;
    while (shared < most && words.every((list) => list[shared] === words[0]![shared])) shared++;
  }
  // Not into the name of a type: 'UD-IQ1_S' and 'UD-IQ1_M' are told apart by 'S' and 'M', but not well.
  const type = words[0]!.findIndex((word) => /^(UD|I?Q\d)/.test(word));
  if (type >= 0) shared = Math.min(shared, type);
  const labels = words.map((list) => list.slice(shared).join(''));
  return labels.map((label, i) => {
    const before = labels.slice(0, i).filter((other) => other === label).length;
    return before === 0 ? label : `${label} (${before + 1})`;
  });
}
