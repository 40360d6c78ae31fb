/** What the name of a GGUF file says about it. */
export interface GgufName {
  /** The projector of a vision model and the importance matrix are kept beside models. */
  readonly kind: 'model' | 'mmproj' | 'imatrix';
  /** Path without the part number and `.gguf`: the same for all parts of one model. */
  readonly stem: string;
  /** In capitals, as `UD-Q2_K_XL`; undefined when the name does not tell. */
  readonly quant: string | undefined;
  /** Counted from 1; 1 of 1 when the file is not split. */
  readonly part: number;
  readonly parts: number;
}

const QUANT =
  /(?:^|[-._/])((?:UD-)?(?:I?Q\d(?:_[A-Z0-9]+)*|TQ[12]_0|MXFP4(?:_[A-Z]+)*|NVFP4|BF16|F(?:16|32)))$/i;

/** Undefined when the path is not that of a GGUF file. Split files are named as `llama-gguf-split` names them. */
export function parseGgufName(path: string): GgufName | undefined {
  if (!/\.gguf$/i.test(path)) return undefined;
  const bare = path.slice(0, -'.gguf'.length);
  const split = /^(.*)-(\d{5})-of-(\d{5})$/s.exec(bare);
  const stem = split?.[1] ?? bare;
  const name = stem.slice(stem.lastIndexOf('/') + 1);
  return {
    kind: /mmproj/i.test(name) ? 'mmproj' : /imatrix/i.test(name) ? 'imatrix' : 'model',
    stem,
    quant: QUANT.exec(name)?.[1]?.toUpperCase(),
    part: split ? Number(split[2]) : 1,
    parts: split ? Number(split[3]) : 1,
  };
}

/** Bits in the name of a type: 2 of `UD-IQ2_XXS`, 16 of `BF16`; 0 when it has none. */
export function quantBits(quant: string | undefined): number {
  return Number(/\d+/.exec(quant ?? '')?.[0] ?? 0);
}
