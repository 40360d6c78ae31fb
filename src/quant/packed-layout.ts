import { type GgmlType, ggmlType } from '../formats/ggml-types.js';

// How weight matrices are laid out afresh when a model is loaded, for products with few tokens. Eight consecutive rows
// make a panel, which holds all their columns in the form that the kernels of assembly/packed read; a packed piece of
// a matrix is its panels one after another.

/**
 * Which layout weights get: `lean` needs at most 15 % more than the file's blocks, `full` may trade memory for speed,
 * `off` keeps the file's blocks.
 */
export type RepackMode = 'full' | 'lean' | 'off';

export const PANEL_ROWS = 8;

/** The first of the forms of `full` mode; the lean form of a type has the number of the type. */
const FULL_FORMS = 64;

interface PackedForm {
  /** Bytes of a panel per `columns` columns. */
  readonly bytes: number;
  readonly columns: number;
  /** Greatest of its codes when made unsigned, where that is more than 127. */
  readonly greatestCode?: number;
}

const LEAN: Partial<Record<GgmlType, PackedForm>> = {
  Q4_0: { bytes: 144, columns: 32 },
  Q4_1: { bytes: 160, columns: 32 },
  Q5_0: { bytes: 176, columns: 32 },
  Q5_1: { bytes: 192, columns: 32 },
  Q2_K: { bytes: 672, columns: 256 },
  Q3_K: { bytes: 912, columns: 256 },
  Q6_K: { bytes: 1680, columns: 256 },
  Q8_0: { bytes: 272, columns: 32, greatestCode: 255 },
  Q4_K: { bytes: 1184, columns: 256 },
  Q5_K: { bytes: 1440, columns: 256 },
  IQ2_XXS: { bytes: 560, columns: 256 },
  IQ2_XS: { bytes: 656, columns: 256 },
  IQ2_S: { bytes: 656, columns: 256 },
  IQ1_S: { bytes: 432, columns: 256 },
  IQ1_M: { bytes: 464, columns: 256 },
  IQ3_XXS: { bytes: 816, columns: 256 },
  IQ3_S: { bytes: 944, columns: 256 },
  IQ4_NL: { bytes: 144, columns: 32 },
  IQ4_XS: { bytes: 1104, columns: 256 },
  MXFP4: { bytes: 144, columns: 32 },
  NVFP4: { bytes: 160, columns: 32 },
  Q1_0: { bytes: 144, columns: 128 },
  Q2_0: { bytes: 144, columns: 64 },
  TQ2_0: { bytes: 528, columns: 256 },
};

const FULL: Partial<Record<GgmlType, PackedForm>> = {
  TQ1_0: { bytes: 528, columns: 256 },
  IQ2_XXS: { bytes: 1104, columns: 256 },
  IQ2_XS: { bytes: 1168, columns: 256 },
  IQ2_S: { bytes: 1168, columns: 256 },
  IQ3_XXS: { bytes: 1104, columns: 256 },
  IQ3_S: { bytes: 1104, columns: 256 },
};

const FORMS = new Map<number, PackedForm>([
  ...Object.entries(LEAN).map(([type, form]) => [ggmlType(type as GgmlType).id, form] as const),
  ...Object.entries(FULL).map(([type, form]) => [FULL_FORMS + ggmlType(type as GgmlType).id, form] as const),
]);

/** Number of the form that rows of `type` are packed to in `mode`; 0 when they stay as they are. */
export function packedForm(type: GgmlType, mode: RepackMode): number {
  const { id } = ggmlType(type);
  if (mode === 'full' && FORMS.has(FULL_FORMS + id)) return FULL_FORMS + id;
  return mode !== 'off' && FORMS.has(id) ? id : 0;
}

/** Bytes of a panel, a multiple of 16. */
export function packedPanelBytes(form: number, columns: number): number {
  const { bytes, columns: unit } = describe(form);
  return (columns / unit) * bytes;
}

/**
 * The activations that a form is multiplied with, by kernels that take codes up to `greatestCode` (Kernels) with bytes.
 */
export function packedActivations(form: number, greatestCode: number): 'bytes' | 'words' {
  return (describe(form).greatestCode ?? 0) <= greatestCode ? 'bytes' : 'words';
}

function describe(form: number): PackedForm {
  const found = FORMS.get(form);
  if (!found) throw new TypeError(`there is no packed form ${form}`);
  return found;
}
