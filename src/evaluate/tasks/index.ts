export { BUILT_IN_TASKS } from './built-in-tasks.js';
export { type ChatEndpointOptions, chatEndpoint } from './chat-endpoint.js';
export {
  type Complete,
  type CompletionRequest,
  describeRound,
  type EvaluateTasksOptions,
  evaluateTasks,
  type TasksEvaluation,
} from './evaluate-tasks.js';
export { extractProgram } from './extract-program.js';
export { runChecks } from './run-checks.js';
export type { Round, SampleRecord } from './sample-record.js';
export { type RunSettings, SampleStore } from './sample-store.js';
export type { Check, CheckResult, Task, TaskLimits } from './task.js';
export { readTasks } from './task-file.js';
export { resultsTable, type TaskResult } from './task-results.js';
