import { type SuperAffineSearch, type SuperAffineShape, superAffineSearch } from './super-affine.js';
import { type CodeRangeShape, type SuperScaleSearch, superScaleSearch } from './super-scale.js';
import { newWordSearch, type WordFormat, type WordSearch } from './word-search.js';

/** The searches that take most of the time of encoding, by what they search. */
export interface Searches {
  words(format: WordFormat): WordSearch;
  superAffine(shape: SuperAffineShape): SuperAffineSearch;
  superScale(shape: CodeRangeShape): SuperScaleSearch;
}

/** The readable ones, in TypeScript: what the compiled ones are tested against. */
export const REFERENCE_SEARCHES: Searches = {
  words: newWordSearch,
  superAffine: superAffineSearch,
  superScale: superScaleSearch,
};
