const MONTHS = 'January February March April May June July August September October November December'.split(
  ' ',
);
const DAYS = 'Sunday Monday Tuesday Wednesday Thursday Friday Saturday'.split(' ');

/** Python's `strftime` for the directives chat templates use, in English and local time; others stay as they are. */
export function strftime(date: Date, format: string): string {
  return format.replace(/%(-?)([a-zA-Z%])/g, (directive, unpadded: string, letter: string) => {
    const value = field(date, letter);
    if (value === undefined) return directive;
    return typeof value === 'number' && !unpadded ? String(value).padStart(2, '0') : String(value);
  });
}

function field(date: Date, letter: string): string | number | undefined {
  switch (letter) {
    case 'Y':
      return String(date.getFullYear());
    case 'y':
      return date.getFullYear() % 100;
    case 'm':
      return date.getMonth() + 1;
    case 'd':
      return date.getDate();
    case 'H':
      return date.getHours();
    case 'I':
      return date.getHours() % 12 || 12;
    case 'M':
      return date.getMinutes();
    case 'S':
      return date.getSeconds();
    case 'p':
      return date.getHours() < 12 ? 'AM' : 'PM';
    case 'B':
      return MONTHS[date.getMonth()]!;
    case 'b':
      return MONTHS[date.getMonth()]!.slice(0, 3);
    case 'A':
      return DAYS[date.getDay()]!;
    case 'a':
      return DAYS[date.getDay()]!.slice(0, 3);
    case '%':
      return '%';
    default:
      return undefined;
  }
}
