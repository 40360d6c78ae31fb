import { formatBytes } from '../base/byte-size.js';
import { CriaError } from '../base/errors.js';
import { quote } from '../base/text.js';
import { shapeOf } from '../dynamic/model-shape.js';
import { checkPlanFits, readPlanFile } from '../dynamic/plan-file.js';
import { bitsPerWeight, plannedTensors, planTable } from '../dynamic/plan-summary.js';
import { fileTypeOf, findRecipe } from '../dynamic/recipes.js';
import {
  type Fallback,
  isQuantizable,
  resolvePlan,
  type TypeOverride,
  type TypePlan,
  uniformPlan,
} from '../dynamic/type-plan.js';
import { type GgmlType, parseGgmlType } from '../formats/ggml-types.js';
import type { Imatrix } from '../formats/imatrix/index.js';
import type { TensorSource } from '../formats/tensor-source.js';
import { textTable } from '../formats/text-table.js';
import {
  type MeasuredPlan,
  type MeasuredPlanInput,
  measuredPlan,
  type TargetValues,
  targetOf,
} from './measured-plan.js';
import type { Terminal } from './verb.js';

/** The options of `cria quantize` that decide the types. */
export interface PlanValues extends TargetValues {
  readonly type: string | undefined;
  readonly recipe: string | undefined;
  readonly plan: string | undefined;
  readonly tensorTypes: readonly string[];
  readonly outputType: string | undefined;
  readonly tokenEmbeddingType: string | undefined;
  readonly pure: boolean;
}

export interface ChosenPlan {
  /** Name of the recipe, `measured`, or `custom`. */
  readonly recipe: string;
  /** Where the types were chosen to reach a size. */
  readonly measured?: MeasuredPlan;
  readonly fileType: number;
  readonly plan: TypePlan;
  /** What the user should know before the work, one line each. */
  readonly notes: readonly string[];
}

/** The plan that the options ask for. Throws (usage) `missing-argument`, `unexpected-option`, `bad-value`, … */
export async function choosePlan(
  terminal: Terminal,
  source: TensorSource,
  values: PlanValues,
  { imatrix, fileBytes }: Omit<MeasuredPlanInput, 'fixed'>,
): Promise<ChosenPlan> {
  checkOneChoice(values);
  const overrides = values.tensorTypes.map(parseOverride);
  const tensors = [...source.tensors.values()];
  const wishes = {
    overrides,
    output: optionalType(values.outputType),
    tokenEmbedding: optionalType(values.tokenEmbeddingType),
  };
  const target = targetOf(source, values);
  const fixed = target && resolvePlan(tensors, { types: new Map(), ...wishes }).plan;
  const measured =
    target && (await measuredPlan(terminal, source, target, values, { imatrix, fileBytes, fixed: fixed! }));
  const base: BaseTypes = measured
    ? { recipe: 'measured', types: measured.plan.types }
    : await namedTypes(source, values, imatrix !== undefined);
  const { plan, fallbacks } = resolvePlan(tensors, { types: base.types, ...wishes });
  const notes = [
    ...fallbacks.map(describeFallback),
    ...overrides
      .filter(({ pattern }) => !tensors.some((tensor) => isQuantizable(tensor) && pattern.test(tensor.name)))
      .map(({ pattern }) => `--tensor-type ${quote(pattern.source)} matches no weight matrix`),
    ...precisionNotes(source, plan, imatrix),
  ];
  const fileType = base.fileType ?? fileTypeOf(plannedTensors(tensors, plan));
  return { recipe: base.recipe, measured, fileType, plan, notes };
}

/** The plan for people, or as JSON that `--plan` takes. */
export function renderPlan(
  source: TensorSource,
  { recipe, fileType, plan, measured }: ChosenPlan,
  bytes: number,
  json: boolean,
): string {
  const tensors = plannedTensors(source.tensors.values(), plan);
  const bits = bitsPerWeight(tensors);
  const predictedKld = measured?.plan.predictedKld;
  if (json) {
    const types = Object.fromEntries(plan);
    const decisions = measured?.plan.decisions;
    const object = { recipe, fileType, bytes, bitsPerWeight: bits, predictedKld, types, decisions };
    return `${JSON.stringify(object, null, 1)}\n`;
  }
  if (measured) return renderDecisions(measured.plan, bytes, bits);
  const total = `${recipe}: ${formatBytes(bytes)} (${bytes} bytes), ${bits.toFixed(2)} bits per weight`;
  return [...planTable(tensors), total, ''].join('\n');
}

function renderDecisions(
  { decisions, predictedKld }: MeasuredPlan['plan'],
  bytes: number,
  bits: number,
): string {
  const header = ['tensor', 'type', 'bytes', 'error', 'sensitivity', 'KLD', 'why'];
  const rows = decisions.map((decision) => [
    decision.name,
    decision.type,
    formatBytes(decision.bytes),
    decision.error.toExponential(2),
    decision.sensitivity.toExponential(2),
    decision.damage.toExponential(2),
    decision.reason === 'floor' ? `floor: ${decision.floor}` : decision.reason,
  ]);
  const total =
    `measured: ${formatBytes(bytes)} (${bytes} bytes), ${bits.toFixed(2)} bits per weight, ` +
    `predicted divergence ${predictedKld.toFixed(5)}`;
  return [...textTable([header, ...rows], [2, 3, 4, 5]), total, ''].join('\n');
}

export function reportNotes(terminal: Terminal, { notes }: ChosenPlan): void {
  for (const note of notes) terminal.stderr.write(`note: ${note}\n`);
}

interface BaseTypes {
  readonly recipe: string;
  readonly fileType?: number;
  readonly types: TypePlan;
}

/** Throws unless exactly one way of choosing the types is given. */
function checkOneChoice(values: PlanValues): void {
  const { type, recipe, plan, targetSize, targetBpw, fitVram, fitRam } = values;
  const given = [type, recipe, plan, targetSize, targetBpw, fitVram ?? fitRam].filter(
    (value) => value !== undefined,
  );
  if (given.length === 1) return;
  const found = given.length === 0 ? 'none' : `${given.length} of them`;
  throw new CriaError(
    'usage',
    given.length === 0 ? 'missing-argument' : 'unexpected-option',
    `expected one of --type, --recipe, --plan, --target-size, --target-bpw and --fit-vram/--fit-ram, found ${found}`,
  );
}

async function namedTypes(
  source: TensorSource,
  { type, recipe, plan, pure }: PlanValues,
  hasImportance: boolean,
): Promise<BaseTypes> {
  if (plan !== undefined) {
    if (pure)
      throw new CriaError('usage', 'unexpected-option', '--pure needs --type, found --plan beside it');
    const file = await readPlanFile(plan);
    checkPlanFits(plan, file, source.tensors);
    return { recipe: 'custom', ...file };
  }
  const found = findRecipe((type ?? recipe)!);
  const types = pure
    ? uniformPlan(source.tensors.values(), found.base)
    : found.types(shapeOf(source), hasImportance);
  return { recipe: found.name, fileType: found.fileType, types };
}

/** `REGEX=TYPE`; the last `=` counts, since a pattern may have one and a type has none. */
function parseOverride(text: string): TypeOverride {
  const at = text.lastIndexOf('=');
  if (at < 1) {
    throw new CriaError('usage', 'bad-value', `--tensor-type expects REGEX=TYPE, found '${text}'`);
  }
  const type = parseGgmlType(text.slice(at + 1));
  try {
    return { pattern: new RegExp(text.slice(0, at)), type };
  } catch (error) {
    throw new CriaError('usage', 'bad-value', `--tensor-type: ${(error as Error).message}`);
  }
}

function optionalType(text: string | undefined): GgmlType | undefined {
  return text === undefined ? undefined : parseGgmlType(text);
}

function describeFallback({ name, columns, wanted, type }: Fallback): string {
  return `${quote(name)}: rows of ${columns} weights are not whole ${wanted} blocks, ${type} instead`;
}

function precisionNotes(source: TensorSource, plan: TypePlan, imatrix: Imatrix | undefined): string[] {
  const notes: string[] = [];
  const low = new Set([...plan.values()].filter((type) => /^IQ[12]_/.test(type)));
  if (imatrix === undefined && low.size > 0) {
    notes.push(`${[...low].join(', ')} lose much without an importance matrix (--imatrix)`);
  }
  const again = [...plan].filter(([name, type]) => {
    const stored = source.tensors.get(name)!.type;
    return stored !== type && !['F32', 'F16', 'BF16'].includes(stored);
  });
  if (again.length > 0) {
    notes.push(
      `${again.length} tensors are quantized already: a file made from the 16-bit model would be better`,
    );
  }
  return notes;
}
