import { readFile } from 'node:fs/promises';
import { CriaError } from '../base/errors.js';
import { fileError } from '../base/file-errors.js';
import { findJsonFault } from '../base/json-text.js';
import { quote } from '../base/text.js';
import { GGML_TYPES, type GgmlType } from '../formats/ggml-types.js';
import type { TensorInfo } from '../formats/tensor-source.js';
import { isQuantizable, type TypePlan } from './type-plan.js';

/** A plan as `--dry-run --json` prints it and `--plan` takes it back; other fields are for the reader. */
export interface PlanFile {
  /** `general.file_type` of the output; by default that of the commonest type. */
  readonly fileType?: number;
  /** Type by tensor name; weight matrices that are absent keep theirs. */
  readonly types: TypePlan;
}

/** A plan of a few thousand tensors is some 100 kB. */
const MAX_BYTES = 64 * 2 ** 20;
const KNOWN_TYPES: ReadonlySet<string> = new Set(GGML_TYPES.map(({ name }) => name));

/** Reads a plan file. Throws `bad-plan` (bad-file). */
export async function readPlanFile(path: string): Promise<PlanFile> {
  const text = await readFile(path, 'utf8').catch((error) => {
    throw fileError(error, 'read', path);
  });
  if (text.length > MAX_BYTES) throw badPlan(path, `expected a plan, found ${text.length} characters`);
  const fault = findJsonFault(text, 4);
  if (fault?.kind === 'duplicate-key') throw badPlan(path, `${quote(fault.key)} appears twice`);
  if (fault) throw badPlan(path, 'expected a plan, found JSON nested deeper than plans are');
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw badPlan(path, `expected JSON: ${(error as Error).message}`);
  }
  const { types, fileType } = isObject(json) ? json : {};
  if (!isObject(types)) throw badPlan(path, 'expected an object "types" that maps tensor names to types');
  if (fileType !== undefined && !(Number.isInteger(fileType) && (fileType as number) >= 0)) {
    throw badPlan(path, `expected "fileType" to be a whole number, found ${quote(JSON.stringify(fileType))}`);
  }
  const plan = new Map<string, GgmlType>();
  for (const [name, type] of Object.entries(types)) plan.set(name, knownType(path, name, type));
  return { types: plan, fileType: fileType as number | undefined };
}

/** Throws `bad-plan` for tensors the model does not have, and for a new type of one that is never quantized. */
export function checkPlanFits(
  path: string,
  { types }: PlanFile,
  tensors: ReadonlyMap<string, TensorInfo>,
): void {
  for (const [name, type] of types) {
    const tensor = tensors.get(name);
    if (tensor === undefined) throw badPlan(path, `the model has no tensor ${quote(name)}`);
    if (!isQuantizable(tensor) && tensor.type !== type) {
      throw badPlan(
        path,
        `${quote(name)} is no weight matrix: it stays ${tensor.type}, the plan says ${type}`,
      );
    }
  }
}

function knownType(path: string, name: string, type: unknown): GgmlType {
  const upper = typeof type === 'string' ? type.toUpperCase() : '';
  if (KNOWN_TYPES.has(upper)) return upper as GgmlType;
  throw badPlan(path, `${quote(name)}: expected a tensor type such as Q4_K, found ${quote(String(type))}`);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function badPlan(path: string, what: string): CriaError {
  return new CriaError('bad-file', 'bad-plan', `'${path}': ${what}`);
}
