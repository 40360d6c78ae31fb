export { type AdviceRequest, adviseRungs, bestRung, type Candidate, type Rung } from './advice.js';
export { measureMemoryBandwidth } from './bandwidth.js';
export { criaMemory } from './cria-memory.js';
export { type FitRequest, type Fitted, fitModel } from './fit.js';
export { type Hardware, probeHardware } from './hardware.js';
export { llamaCppCommand } from './llama-cpp-command.js';
export type { Placement } from './placement.js';
export { visionMemory } from './vision-memory.js';
