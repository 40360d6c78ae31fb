import { expect, it } from 'vitest';
import { fileLabels } from './labels.js';

it.each([
  [
    ['a/nano-scout-Q4_K.gguf', 'b/nano-scout-Q6_K.gguf'],
    ['Q4_K', 'Q6_K'],
  ],
  [
    ['scout-UD-IQ1_S.gguf', 'scout-UD-IQ1_M.gguf'],
    ['UD-IQ1_S', 'UD-IQ1_M'],
  ],
  [
    ['x-Q8_0-00001-of-00002.gguf', 'x-Q2_K.gguf'],
    ['Q8_0', 'Q2_K'],
  ],
  [['alone-Q8_0.gguf'], ['alone-Q8_0']],
  [
    ['a/x.gguf', 'b/x.gguf'],
    ['x', 'x (2)'],
  ],
  [
    ['.gguf', 'y.gguf'],
    ['.gguf', 'y'],
  ],
])('labels %j', (paths, labels) => expect(fileLabels(paths)).toEqual(labels));
