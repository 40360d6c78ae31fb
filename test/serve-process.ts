import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const CRIA = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));

/** `cria serve` as a user starts it, on a free port. */
export interface ServeProcess {
  readonly url: string;
  readonly child: ChildProcess;
  /** Everything it wrote to standard error so far. */
  log(): string;
  /** Resolves with its exit code. */
  readonly exit: Promise<number | null>;
  stop(): Promise<void>;
}

export async function startServer(
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): Promise<ServeProcess> {
  const child = spawn(process.execPath, [CRIA, 'serve', '--port', '0', '--no-webui', ...args], {
    env,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let log = '';
  const exit = new Promise<number | null>((resolve) => child.on('close', resolve));
  const url = await new Promise<string>((resolve, reject) => {
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      log += text;
      const found = /(http:\S+) answers/.exec(log)?.[1];
      if (found) resolve(found);
    });
    void exit.then((code) => reject(new Error(`cria serve ended with ${code}: ${log}`)));
  });
  return {
    url,
    child,
    log: () => log,
    exit,
    stop: async () => {
      child.kill('SIGKILL');
      await exit;
    },
  };
}
