/** Number fields of a request that the settings show; what is left out has the server's own value. */
export const SAMPLING_FIELDS = [
  { name: 'temperature', min: 0, max: 2, step: 0.05, fallback: 0.6 },
  { name: 'top_p', min: 0, max: 1, step: 0.01, fallback: 0.9 },
  { name: 'min_p', min: 0, max: 1, step: 0.01, fallback: 0.01 },
  { name: 'top_k', min: 0, max: 200, step: 1, fallback: 0 },
  { name: 'repeat_penalty', min: 0.8, max: 2, step: 0.01, fallback: 1 },
] as const;

export type SamplingField = (typeof SAMPLING_FIELDS)[number]['name'];
export type Theme = 'system' | 'light' | 'dark';
export type Language = 'en' | 'ja';

export interface Settings {
  readonly theme: Theme;
  /** Absent: as the browser says. */
  readonly language?: Language;
  readonly apiKey: string;
  readonly system: string;
  readonly sampling: Readonly<Partial<Record<SamplingField, number>>>;
  readonly maxTokens?: number;
  readonly seed?: number;
  /** Functions the model may call, as the text of a JSON list in OpenAI's form. */
  readonly tools: string;
}

export const INITIAL_SETTINGS: Settings = {
  theme: 'system',
  apiKey: '',
  system: '',
  sampling: {},
  tools: '',
};

/** Settings as they were stored, less whatever is not as it should be. */
export function readSettings(stored: string | null): Settings {
  let given: unknown;
  try {
    given = JSON.parse(stored ?? '{}');
  } catch {
    return INITIAL_SETTINGS;
  }
  if (typeof given !== 'object' || given === null) return INITIAL_SETTINGS;
  const fields = given as Record<string, unknown>;
  const sampling = (fields.sampling ?? {}) as Record<string, unknown>;
  const text = (value: unknown) => (typeof value === 'string' ? value : '');
  const whole = (value: unknown) =>
    Number.isSafeInteger(value) && Number(value) >= 0 ? Number(value) : undefined;
  return {
    theme: fields.theme === 'light' || fields.theme === 'dark' ? fields.theme : 'system',
    language: fields.language === 'en' || fields.language === 'ja' ? fields.language : undefined,
    apiKey: text(fields.apiKey),
    system: text(fields.system),
    sampling: Object.fromEntries(
      SAMPLING_FIELDS.filter(({ name, min, max }) => {
        const value = sampling[name];
        return typeof value === 'number' && value >= min && value <= max;
      }).map(({ name }) => [name, sampling[name]]),
    ),
    maxTokens: whole(fields.maxTokens),
    seed: whole(fields.seed),
    tools: text(fields.tools),
  };
}

/** The fields of a request that the settings decide; tools that are no JSON list are left out. */
export function requestFields({ sampling, maxTokens, seed, tools }: Settings): Record<string, unknown> {
  const list = parseTools(tools);
  return {
    ...sampling,
    ...(maxTokens !== undefined && maxTokens > 0 && { max_tokens: maxTokens }),
    ...(seed !== undefined && { seed }),
    ...(list !== undefined && list.length > 0 && { tools: list }),
  };
}

/** `undefined` when the text is no list of functions. */
export function parseTools(text: string): readonly unknown[] | undefined {
  if (text.trim() === '') return [];
  try {
    const list: unknown = JSON.parse(text);
    const isTool = (entry: unknown) =>
      typeof (entry as { function?: { name?: unknown } } | null)?.function?.name === 'string';
    return Array.isArray(list) && list.every(isTool) ? list : undefined;
  } catch {
    return undefined;
  }
}
