export { openTrainingData } from './open-training-data.js';
export type * from './types.js';
