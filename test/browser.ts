import { existsSync } from 'node:fs';

/** The Chromium that tests of pages drive, if there is one: CHROMIUM_PATH or a usual place. */
export function findBrowser(): string | undefined {
  return [
    process.env.CHROMIUM_PATH ?? '',
    '/usr/bin/chromium',
    '/usr/bin/chromium-browser',
    '/usr/bin/google-chrome',
    '/usr/bin/google-chrome-stable',
  ].find(existsSync);
}
