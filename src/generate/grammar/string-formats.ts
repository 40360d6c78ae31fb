/**
 * Patterns of the formats whose texts are checked (JSON Schema 2020-12, §7.3): dates and times by RFC 3339, UUIDs by
 * RFC 4122, addresses by RFC 2673. Other formats are annotations.
 */
const TIME = '([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d{1,9})?(Z|[+-]([01]\\d|2[0-3]):[0-5]\\d)';
const MONTH_DAY = [
  '(0[1-9]|1[0-2])-(0[1-9]|1\\d|2[0-8])',
  '(0[13-9]|1[0-2])-(29|30)',
  '(0[13578]|1[02])-31',
].join('|');
// The years that have a February 29: those that 4 divides and 100 does not, and those that 400 divides.
const LEAP_YEAR = '(\\d\\d(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)';
const DATE = `(\\d{4}-(${MONTH_DAY})|${LEAP_YEAR}-02-29)`;
const BYTE = '(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)';

export const STRING_FORMATS: ReadonlyMap<string, string> = new Map([
  ['date', `^${DATE}$`],
  ['time', `^${TIME}$`],
  ['date-time', `^${DATE}T${TIME}$`],
  ['uuid', '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'],
  ['ipv4', `^${BYTE}(\\.${BYTE}){3}$`],
  ['email', '^[a-zA-Z0-9_+-]+(\\.[a-zA-Z0-9_+-]+)*@[a-zA-Z0-9]+(-[a-zA-Z0-9]+)*(\\.[a-zA-Z0-9]+)+$'],
]);
