import { CriaError } from '../base/errors.js';
import { didYouMean } from '../base/suggest.js';
import { type GgufName, parseGgufName, quantBits } from './gguf-names.js';
import { globMatcher } from './glob.js';

/** Which files of a repository are wanted. */
export interface FileChoice {
  /** The model of this type. */
  readonly quant?: string;
  /** Files, or folders, by their exact names. */
  readonly paths?: readonly string[];
  readonly include?: readonly string[];
  readonly exclude?: readonly string[];
  /** Fetch the projector for pictures along with a model. */
  readonly mmproj: boolean;
}

interface Named {
  readonly path: string;
}

/** Of a checkpoint: copies of the weights in formats nothing here reads. */
const OTHER_FORMATS = ['original/*', '*.pth', '*.pt', '*.bin', '*.onnx', '*.onnx_data', '*.msgpack', '*.h5'];

/**
 * The files to fetch. Paths and patterns choose exactly what they name. A type, or nothing, chooses one GGUF model as
 * llama.cpp does (without a type: Q4_K_M, else Q8_0, else the first) with all its parts and the projector that fits
 * it; nothing, in a repository without GGUF files, the checkpoint.
 * Throws `hub-no-such-file`, `hub-no-such-quant`, `hub-missing-part` (not-found).
 */
export function selectFiles<F extends Named>(files: readonly F[], choice: FileChoice, repo: string): F[] {
  const { quant, paths = [], include = [], exclude = [], mmproj } = choice;
  const excluded = exclude.map(globMatcher);
  const kept = files.filter(({ path }) => !excluded.some((matches) => matches(path)));
  if (paths.length === 0 && include.length === 0) {
    const models = ggufFiles(kept, 'model');
    if (quant !== undefined || models.length > 0) return modelFiles(kept, models, { quant, mmproj }, repo);
    const others = OTHER_FORMATS.map(globMatcher);
    return required(
      kept.filter(({ path }) => !others.some((matches) => matches(path))),
      `${repo} has no files to fetch`,
    );
  }
  const included = include.map(globMatcher);
  const byPattern = kept.filter(({ path }) => included.some((matches) => matches(path)));
  if (include.length > 0) {
    const patterns = include.map((pattern) => `'${pattern}'`).join(', ');
    required(byPattern, `no file of ${repo} matches ${patterns}`);
  }
  const byPath = paths.flatMap((wanted) => filesAt(kept, wanted, repo));
  return [...new Set([...byPath, ...byPattern])];
}

/** The parts of one model in order, given the files of a snapshot and the type; undefined when it is not among them. */
export function findModel<F extends Named>(files: readonly F[], quant: string | undefined): F[] | undefined {
  const models = ggufFiles(files, 'model');
  const first = firstPart(models, quant);
  return first && partsOf(models, first);
}

/**
 * The projector for a model: in its folder or one above, the one nearest in bits per weight and of those the first, as
 * llama.cpp chooses it.
 */
export function findProjector<F extends Named>(files: readonly F[], model: string): F | undefined {
  const bits = quantBits(parseGgufName(model)?.quant);
  const folder = model.slice(0, model.lastIndexOf('/') + 1);
  const depth = (path: string) => path.split('/').length;
  const distance = ({ quant }: GgufName) => Math.abs(quantBits(quant) - bits);
  return ggufFiles(files, 'mmproj')
    .filter(({ file }) => folder.startsWith(file.path.slice(0, file.path.lastIndexOf('/') + 1)))
    .sort((a, b) => depth(b.file.path) - depth(a.file.path) || distance(a.name) - distance(b.name))[0]?.file;
}

interface GgufFile<F> {
  readonly file: F;
  readonly name: GgufName;
}

function ggufFiles<F extends Named>(files: readonly F[], kind: GgufName['kind']): GgufFile<F>[] {
  return files.flatMap((file) => {
    const name = parseGgufName(file.path);
    return name?.kind === kind ? [{ file, name }] : [];
  });
}

function modelFiles<F extends Named>(
  files: readonly F[],
  models: readonly GgufFile<F>[],
  { quant, mmproj }: FileChoice,
  repo: string,
): F[] {
  const first = firstPart(models, quant);
  if (first === undefined) {
    const quants = [...new Set(models.flatMap(({ name }) => name.quant ?? []))];
    const has = quants.length === 0 ? 'it has no GGUF models' : `it has ${quants.join(', ')}`;
    throw new CriaError(
      'not-found',
      'hub-no-such-quant',
      `${repo} has no model of type '${quant}'${didYouMean(quant?.toUpperCase() ?? '', quants)}; ${has}`,
    );
  }
  const parts = partsOf(models, first);
  if (parts.length !== first.name.parts) {
    throw new CriaError(
      'not-found',
      'hub-missing-part',
      `${repo} has ${parts.length} of the ${first.name.parts} parts of '${first.file.path}'`,
    );
  }
  const projector = mmproj ? findProjector(files, first.file.path) : undefined;
  return projector === undefined ? parts : [...parts, projector];
}

/** An exact type goes before one that only ends the same, as `Q2_K_XL` for `UD-Q2_K_XL`. */
function firstPart<F extends Named>(models: readonly GgufFile<F>[], quant: string | undefined) {
  const starts = models.filter(({ name }) => name.part === 1);
  const named = (wanted: string) =>
    starts.find(({ name }) => name.quant === wanted) ??
    starts.find(({ name }) => name.quant === `UD-${wanted}`) ??
    starts.find(({ name }) => `.${name.stem.toUpperCase()}`.endsWith(`-${wanted}`));
  if (quant !== undefined) return named(quant.toUpperCase());
  return named('Q4_K_M') ?? named('Q8_0') ?? starts[0];
}

function partsOf<F extends Named>(models: readonly GgufFile<F>[], { name }: GgufFile<F>): F[] {
  return models
    .filter((other) => other.name.stem === name.stem && other.name.parts === name.parts)
    .sort((a, b) => a.name.part - b.name.part)
    .map(({ file }) => file);
}

function filesAt<F extends Named>(files: readonly F[], wanted: string, repo: string): F[] {
  const found = files.filter(
    ({ path }) => path === wanted || path.startsWith(`${wanted.replace(/\/$/, '')}/`),
  );
  const hint = () =>
    didYouMean(
      wanted,
      files.map(({ path }) => path),
    );
  return required(found, () => `${repo} has no file '${wanted}'${hint()}`);
}

function required<F>(files: F[], message: string | (() => string)): F[] {
  if (files.length > 0) return files;
  throw new CriaError('not-found', 'hub-no-such-file', typeof message === 'string' ? message : message());
}
