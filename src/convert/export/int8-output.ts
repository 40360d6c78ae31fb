import { layoutInt8, ROW_FORMAT } from '../../formats/bitsandbytes/index.js';
import type { TensorSource } from '../../formats/tensor-source.js';
import { encodeInt8Rows } from '../../quant/bitsandbytes-int8.js';
import { blockFormat } from '../../quant/index.js';
import { type StoredOutput, strips } from '../to-stored-tensors.js';
import type { LinearTensor } from './linear-tensors.js';

/** Module `index` of a tensor in 8 bits, LLM.int8's way. Memory: a strip of rows. */
export function int8Output(source: TensorSource, linear: LinearTensor, index: number): StoredOutput {
  const { info, modules, rows, columns } = linear;
  const { weight, scales, format } = layoutInt8(modules[index]!, rows, columns);
  return {
    infos: [weight, scales, format],
    async *pieces() {
      for await (const { strip, row, count } of strips(source, info, index * rows, rows)) {
        const floats = new Float32Array(count * columns);
        blockFormat(info.type).decode(strip, floats);
        const codes = new Int8Array(floats.length);
        const absmax = new Float32Array(count);
        encodeInt8Rows(floats, columns, codes, absmax);
        yield { name: weight.name, offset: row * columns, bytes: new Uint8Array(codes.buffer) };
        yield { name: scales.name, offset: row * 4, bytes: new Uint8Array(absmax.buffer) };
      }
      yield { name: format.name, offset: 0, bytes: Uint8Array.of(ROW_FORMAT) };
    },
  };
}
