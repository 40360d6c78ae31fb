import { setCodeShift } from './dot-bytes';
import { setConstants } from './packed/constants';
import { setHalfConstants } from './packed/halves';

/** Sets what an instance of the kernels finds out or keeps for itself; to be called once, before all else. */
export function prepare(): void {
  setCodeShift();
  setHalfConstants();
  setConstants();
}
