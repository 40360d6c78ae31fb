import type { TensorFloor } from './floors.js';
import type { ReportFile } from './report-data.js';

export const FLOOR_REASONS: Readonly<Record<TensorFloor['floor'], string>> = {
  'output-and-embeddings': 'output and embeddings need four bits',
  'poorly-calibrated': 'calibration text hardly reached many of its experts',
  'no-importance': 'there is no importance data for it',
};

export const KIND_NAMES: Readonly<Record<ReportFile['kind'], string>> = {
  measured: 'measured allocation',
  recipe: 'dynamic recipe',
  static: 'static type',
  custom: 'other types',
};
