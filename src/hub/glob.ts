/**
 * A test for the patterns of `--include` and `--exclude`, which mean what they mean to `hf download` (Python's
 * `fnmatch`): `*` and `?` also match `/`, `[a-z]` and `[!a-z]` are sets, case matters, and `folder/` is all in it.
 */
export function globMatcher(pattern: string): (path: string) => boolean {
  const whole = pattern.endsWith('/') ? `${pattern}*` : pattern;
  let source = '';
  for (let at = 0; at < whole.length; at++) {
    const c = whole[at]!;
    if (c === '*') {
      // Stars in a row mean one, and would make the search slow.
      if (whole[at - 1] !== '*') source += '.*';
    } else if (c === '?') {
      source += '.';
    } else if (c === '[') {
      // A bracket right after the opening (or its `!`) is a member of the set.
      const end = whole.indexOf(']', at + (whole[at + 1] === '!' ? 3 : 2));
      if (end < 0) {
        source += '\\[';
      } else {
        source += characterSet(whole.slice(at + 1, end));
        at = end;
      }
    } else {
      source += escapeCharacter(c);
    }
  }
  const regex = new RegExp(`^${source}$`, 's');
  return (path) => regex.test(path);
}

function characterSet(members: string): string {
  const negated = members.startsWith('!');
  const set = (negated ? members.slice(1) : members).replace(/[\\\]^[]/g, '\\$&');
  // A range that runs backwards holds nothing.
  const valid = set.replace(/([^\\])-([^\\])/g, (range, from, to) => (from > to ? '' : range));
  if (valid === '') return negated ? '.' : '(?!)';
  return `[${negated ? '^' : ''}${valid}]`;
}

function escapeCharacter(c: string): string {
  return c.replace(/[\\^$.*+?()[\]{}|/]/, '\\$&');
}
