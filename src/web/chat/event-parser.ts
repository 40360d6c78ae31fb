/** Takes the data out of server-sent events that arrive in pieces of any size. */
export class EventParser {
  #rest = '';
  #data: string[] = [];

  /** The data of every event that `text` completes. */
  push(text: string): string[] {
    const events: string[] = [];
    const buffered = this.#rest + text;
    // A carriage return at the end may be the first half of a line break.
    const usable = buffered.endsWith('\r') ? buffered.length - 1 : buffered.length;
    const lines = buffered.slice(0, usable).split(/\r\n|\n|\r/);
    this.#rest = lines.pop()! + buffered.slice(usable);
    for (const line of lines) {
      if (line === '') {
        if (this.#data.length > 0) events.push(this.#data.join('\n'));
        this.#data = [];
      } else if (line.startsWith('data:')) {
        this.#data.push(line.slice(line[5] === ' ' ? 6 : 5));
      }
    }
    return events;
  }
}
