export type { Grammar } from './expression.js';
export { jsonObjectGrammar, jsonSchemaGrammar } from './json-schema.js';
export { parseGbnf } from './parse-gbnf.js';
export { rebaseReferences } from './rebase-references.js';
export { TokenGrammar } from './token-grammar.js';
export type { Triggers } from './waiting-state.js';
