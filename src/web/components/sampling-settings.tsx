import { SAMPLING_FIELDS, type Settings } from '../chat/settings.js';
import { usePage } from './page-context.js';

interface SamplingSettingsProps {
  settings: Settings;
  /** The server's own values, which hold where nothing is chosen. */
  defaults: Readonly<Record<string, number>>;
  onChange: (change: Partial<Settings>) => void;
}

export function SamplingSettings({ settings, defaults, onChange }: SamplingSettingsProps) {
  const { t } = usePage();
  const { sampling, maxTokens, seed } = settings;
  const changed = Object.keys(sampling).length > 0 || maxTokens !== undefined || seed !== undefined;
  return (
    <>
      {SAMPLING_FIELDS.map(({ name, min, max, step, fallback }) => {
        const value = sampling[name] ?? defaults[name] ?? fallback;
        const set = (text: string) => {
          const given = Number(text);
          if (text === '' || Number.isNaN(given)) return;
          onChange({ sampling: { ...sampling, [name]: Math.min(max, Math.max(min, given)) } });
        };
        return (
          <div class="slider" key={name}>
            <label for={`setting-${name}`}>{t(name)}</label>
            <input
              class="slider-value"
              type="number"
              aria-label={t(name)}
              {...{ min, max, step, value }}
              onChange={(event) => set(event.currentTarget.value)}
            />
            <input
              id={`setting-${name}`}
              type="range"
              aria-describedby={`hint-${name}`}
              style={{ '--share': `${((value - min) / (max - min)) * 100}%` }}
              {...{ min, max, step, value }}
              onInput={(event) => set(event.currentTarget.value)}
            />
            <p class="hint" id={`hint-${name}`}>
              {t(`${name}Hint`)}
            </p>
          </div>
        );
      })}
      {(['maxTokens', 'seed'] as const).map((name) => (
        <div class="number" key={name}>
          <label for={`setting-${name}`}>{t(name)}</label>
          <input
            id={`setting-${name}`}
            type="number"
            min={name === 'seed' ? 0 : 1}
            step={1}
            value={settings[name] ?? ''}
            placeholder={t(name === 'seed' ? 'random' : 'unlimited')}
            aria-describedby={`hint-${name}`}
            onChange={(event) => onChange({ [name]: wholeNumber(event.currentTarget.value) })}
          />
          <p class="hint" id={`hint-${name}`}>
            {t(`${name}Hint`)}
          </p>
        </div>
      ))}
      <button
        type="button"
        class="plain-button"
        disabled={!changed}
        onClick={() => onChange({ sampling: {}, maxTokens: undefined, seed: undefined })}
      >
        {t('reset')}
      </button>
    </>
  );
}

function wholeNumber(text: string): number | undefined {
  const value = Number(text);
  return text !== '' && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}
