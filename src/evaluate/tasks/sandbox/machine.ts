import { readdirSync, readFileSync } from 'node:fs';
import variantModule from '@jitl/quickjs-wasmfile-release-sync';
import {
  newQuickJSWASMModuleFromVariant,
  newVariant,
  type QuickJSContext,
  type QuickJSHandle,
  type QuickJSSyncVariant,
  type QuickJSWASMModule,
} from 'quickjs-emscripten-core';

/** What went wrong inside a machine. */
export interface MachineError {
  readonly name: string;
  readonly message: string;
  /** Lines `    at NAME (FILE:LINE:COLUMN)`. */
  readonly stack: string;
}

export type Outcome<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: MachineError };

// The package's types describe its CommonJS build; Node imports the other one, whose default export is the variant.
const QUICKJS = variantModule as unknown as QuickJSSyncVariant;

/** WebAssembly memory comes in pages of 64 KiB. */
const PAGE = 65_536;
const FIRST_PAGES = 256;
/** QuickJS counts its own stack; the thread's is large enough for what WebAssembly adds to that. */
const STACK_BYTES = 512 * 1024;

/**
 * QuickJS in a WebAssembly memory of limited size: code that runs in it sees the language's own objects and nothing
 * else. Each machine has a memory of its own. What a machine was asked for is never freed one by one: machines are
 * dropped as a whole, which works after any failure.
 */
export class Machine {
  readonly #module: QuickJSWASMModule;
  readonly #deadline: number;
  #dead: MachineError | undefined;

  private constructor(module: QuickJSWASMModule, deadline: number) {
    this.#module = module;
    this.#deadline = deadline;
  }

  /** @param deadline when code is interrupted, in milliseconds as `Date.now` counts them */
  static async create(memoryBytes: number, deadline: number): Promise<Machine> {
    const maximum = Math.max(FIRST_PAGES, Math.floor(memoryBytes / PAGE));
    const wasmMemory = createMemory(maximum);
    const module = await newQuickJSWASMModuleFromVariant(newVariant(QUICKJS, { wasmMemory }));
    return new Machine(module, deadline);
  }

  /** A fresh set of global objects. Those of earlier realms stay apart from it. */
  createRealm(): Realm {
    const runtime = this.#module.newRuntime();
    runtime.setMaxStackSize(STACK_BYTES);
    runtime.setInterruptHandler(() => Date.now() > this.#deadline);
    return new Realm(this, runtime.newContext());
  }

  /** Runs `work`; after an error that leaves the machine in doubt, every further call gives that error. */
  attempt<T>(context: QuickJSContext, work: () => Outcome<T>): Outcome<T> {
    if (this.#dead) return { ok: false, error: this.#dead };
    let outcome: Outcome<T>;
    try {
      outcome = work();
      const jobs = outcome.ok ? context.runtime.executePendingJobs() : undefined;
      if (jobs?.error) outcome = { ok: false, error: readError(context, jobs.error) };
    } catch (error) {
      // The thread's stack ended before QuickJS's own, or WebAssembly gave up.
      const overflow = error instanceof RangeError;
      const message = overflow ? 'stack overflow' : `the interpreter failed: ${(error as Error).message}`;
      this.#dead = { name: 'InternalError', message, stack: '' };
      return { ok: false, error: this.#dead };
    }
    if (!outcome.ok && Date.now() > this.#deadline) {
      const message = 'the time limit was reached: is there an endless loop?';
      this.#dead = { ...outcome.error, name: 'TimeLimit', message };
      return { ok: false, error: this.#dead };
    }
    return outcome;
  }
}

/** One set of global objects within a machine. */
export class Realm {
  readonly #machine: Machine;
  readonly #context: QuickJSContext;

  constructor(machine: Machine, context: QuickJSContext) {
    this.#machine = machine;
    this.#context = context;
  }

  /** Runs a script. */
  run(code: string, file: string): Outcome<undefined> {
    return this.#machine.attempt(this.#context, () => {
      const result = this.#context.evalCode(code, file);
      if (result.error) return { ok: false, error: readError(this.#context, result.error) };
      return { ok: true, value: undefined };
    });
  }

  /** The JSON text of an expression's value, as the realm itself spells it. */
  json(expression: string, file: string): Outcome<string | undefined> {
    return this.#machine.attempt(this.#context, () => {
      const result = this.#context.evalCode(`JSON.stringify((${expression}\n))`, file);
      if (result.error) return { ok: false, error: readError(this.#context, result.error) };
      const isText = this.#context.typeof(result.value) === 'string';
      return { ok: true, value: isText ? this.#context.getString(result.value) : undefined };
    });
  }

  /** Calls function `name` of a host module (`host/FILE.js`) with the global object and a text. */
  callHost(file: string, name: string, text: string): Outcome<HostFunction> {
    const context = this.#context;
    return this.#machine.attempt(context, () => {
      const sources = hostSources();
      context.runtime.setModuleLoader((path) => {
        const source = sources.get(path);
        return source ?? { error: new Error(`no module '${path}'`) };
      });
      const module = context.evalCode(sources.get(file) ?? '', file, { type: 'module' });
      // Programs have no modules to import.
      context.runtime.removeModuleLoader();
      if (module.error) return { ok: false, error: readError(context, module.error) };
      const entry = context.getProp(module.value, name);
      const made = context.callFunction(entry, context.undefined, context.global, context.newString(text));
      if (made.error) return { ok: false, error: readError(context, made.error) };
      return { ok: true, value: (argument) => this.#call(made.value, argument) };
    });
  }

  /** Gives the realm a function from text to text; what `call` throws is thrown there as an `Error`. */
  define(name: string, call: (text: string) => string): void {
    const context = this.#context;
    const handle = context.newFunction(name, (text) => {
      try {
        return context.newString(call(context.getString(text!)));
      } catch (error) {
        const { name: kind, message } = error as Error;
        return { error: context.newError({ name: kind, message }) };
      }
    });
    context.setProp(context.global, name, handle);
  }

  #call(handle: QuickJSHandle, text: string): Outcome<string> {
    const context = this.#context;
    return this.#machine.attempt(context, () => {
      const argument = context.newString(text);
      const result = context.callFunction(handle, context.undefined, argument);
      argument.dispose();
      if (result.error) return { ok: false, error: readError(context, result.error) };
      const value = context.getString(result.value);
      result.value.dispose();
      return { ok: true, value };
    });
  }
}

export type HostFunction = (text: string) => Outcome<string>;

let sources: ReadonlyMap<string, string> | undefined;

/** The compiled modules of `host/`, by the names they import each other by. */
function hostSources(): ReadonlyMap<string, string> {
  const folder = new URL('../host/', import.meta.url);
  sources ??= new Map(
    readdirSync(folder)
      .filter((name) => name.endsWith('.js'))
      .map((name) => [name, readFileSync(new URL(name, folder), 'utf8')]),
  );
  return sources;
}

/** The types of this project know shared memories only. */
function createMemory(maximum: number): WebAssembly.Memory {
  const descriptor: unknown = { initial: FIRST_PAGES, maximum };
  return new WebAssembly.Memory(descriptor as WebAssembly.MemoryDescriptor);
}

const LONGEST_MESSAGE = 500;
const LONGEST_STACK = 2000;

function readError(context: QuickJSContext, handle: QuickJSHandle): MachineError {
  let dumped: unknown;
  try {
    dumped = context.dump(handle);
  } catch {
    dumped = undefined;
  }
  if (typeof dumped !== 'object' || dumped === null) {
    // Without memory not even the error can be made.
    const message =
      dumped === '' || dumped === undefined || dumped === null ? 'out of memory' : String(dumped);
    return { name: 'InternalError', message: message.slice(0, LONGEST_MESSAGE), stack: '' };
  }
  const { name = 'Error', message = '', stack = '' } = dumped as Partial<Record<string, unknown>>;
  return {
    name: String(name).slice(0, 60),
    message: String(message).slice(0, LONGEST_MESSAGE),
    stack: String(stack).slice(0, LONGEST_STACK),
  };
}
