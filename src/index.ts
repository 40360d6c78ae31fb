/**
 * Cria as a library: load Llama 4 models, compute logits, write text, chat, calibrate, quantize, evaluate, fine-tune, and
 * read and convert model files.
 * See docs/library.md.
 *
 * @module
 */
export { CriaError, type ErrorKind, EXIT_CODES } from './base/errors.js';
export {
  type Chat,
  ChatFormat,
  type ChatMessage,
  ChatTemplate,
  Conversation,
  chatFormat,
  type ImagePart,
  type PromptImage,
  type Role,
  type TextPart,
  type ToolCall,
} from './chat/index.js';
export { type ConvertOptions, convertCheckpoint } from './convert/convert.js';
export { type ExportFormat, type ExportModelOptions, exportModel } from './convert/export/export-model.js';
export { type ExportSource, openExportSource } from './convert/export/export-source.js';
export type { Llama4Config } from './convert/llama4-config.js';
export type { AdapterFile, LoraAdapter, LoraTensor, LoraWeights } from './convert/lora/adapter.js';
export { type ConvertAdapterOptions, convertAdapter } from './convert/lora/convert-adapter.js';
export { type MergeAdaptersOptions, mergeAdapters } from './convert/lora/merge-adapters.js';
export { openAdapter } from './convert/lora/open-adapter.js';
export { openModel } from './convert/open-model.js';
export { exportCheckpoint } from './convert/to-safetensors.js';
export type { ExportOptions } from './convert/write-checkpoint.js';
export { type CalibrationResult, calibrateToFile } from './dynamic/calibrate-to-file.js';
export { type CoverageReport, coverageReport } from './dynamic/coverage.js';
export { type Measurements, type MeasureOptions, measureModel } from './dynamic/measurements.js';
export { shapeOf } from './dynamic/model-shape.js';
export { planQuantization, type QuantizationPlan, type SizeTarget } from './dynamic/plan-quantization.js';
export { layoutOutput, type QuantizeOptions, quantizeModel } from './dynamic/quantize.js';
export { findRecipe, RECIPES } from './dynamic/recipes.js';
export { resolvePlan, type TypePlan } from './dynamic/type-plan.js';
export {
  type DivergenceOptions,
  type DivergenceResult,
  evaluateDivergence,
  evaluatePerplexity,
  type PerplexityOptions,
  type PerplexityResult,
} from './evaluate/index.js';
export {
  BUILT_IN_TASKS,
  type Complete,
  chatEndpoint,
  evaluateTasks,
  readTasks,
  resultsTable,
} from './evaluate/tasks/index.js';
export { sampledFingerprint } from './formats/fingerprint.js';
export type { GgmlType } from './formats/ggml-types.js';
export {
  describeGguf,
  GgufFile,
  type GgufTensor,
  mergeGguf,
  openGguf,
  type SplitLimits,
  splitGguf,
  writeGguf,
} from './formats/gguf/index.js';
export { type Imatrix, readImatrix, writeImatrix } from './formats/imatrix/index.js';
export { openSafetensors, type SafetensorsFile, writeSafetensors } from './formats/safetensors/index.js';
export type { Metadata, MetadataValue, TensorInfo, TensorSource } from './formats/tensor-source.js';
export type {
  GeneratedToken,
  GenerateOptions,
  GenerationSummary,
  SamplingOptions,
} from './generate/index.js';
export {
  type Constraint,
  DEFAULT_SAMPLING,
  type Drafter,
  jsonObjectGrammar,
  jsonSchemaGrammar,
  LookupDrafter,
  ModelDrafter,
  parseGbnf,
  rebaseReferences,
  TokenGrammar,
} from './generate/index.js';
export {
  type EncodedImage,
  type EncodeImageOptions,
  type LoadOptions,
  loadModel,
  Model,
} from './generate/load-model.js';
export { loadDraftModel } from './generate/speculation/load-draft-model.js';
export type { ExpertCacheStatistics } from './model/expert-store.js';
export { describeMemory } from './model/memory-summary.js';
export { reusablePrefix, type SequenceModel, type SequencePart } from './model/sequence-model.js';
export type { Outputs, TokenModel } from './model/token-model.js';
export { type EncodeOptions, Tokenizer } from './model/tokenizer/index.js';
export type {
  EndReason,
  TrainingEvaluation,
  TrainingEvent,
  TrainingObserver,
  TrainingStart,
  TrainingStep,
} from './train/events.js';
export { finetune } from './train/finetune.js';
export type { FinetuneOptions } from './train/finetune-options.js';
export type { FinetuneResult } from './train/run-finetuning.js';
export { trainingPictures } from './train/training-pictures.js';
