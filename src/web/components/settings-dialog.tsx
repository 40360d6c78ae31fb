import type { ComponentChildren, RefObject } from 'preact';
import { RECOMMENDED_SYSTEM_PROMPT } from '../../chat/recommended-system-prompt.js';
import { type Language, parseTools, type Theme } from '../chat/settings.js';
import type { AppState } from '../state/chat-app.js';
import { IconButton } from './icon-button.js';
import { usePage } from './page-context.js';
import { SamplingSettings } from './sampling-settings.js';

interface SettingsDialogProps {
  state: AppState;
  dialog: RefObject<HTMLDialogElement | null>;
}

export function SettingsDialog({ state, dialog }: SettingsDialogProps) {
  const { chat, t } = usePage();
  const { settings, server } = state;
  const close = () => dialog.current?.close();
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: Escape closes dialogs by itself
    <dialog
      ref={dialog}
      class="settings"
      aria-label={t('settings')}
      onClick={(event) => event.target === dialog.current && close()}
    >
      <div class="settings-body">
        <header>
          <h2>{t('settings')}</h2>
          <IconButton icon="close" label={t('close')} onClick={close} />
        </header>
        <Section title={t('systemPrompt')}>
          <textarea
            class="system-prompt"
            rows={6}
            value={settings.system}
            placeholder={t('systemPromptHint')}
            aria-label={t('systemPrompt')}
            onInput={(event) => chat.changeSettings({ system: event.currentTarget.value })}
          />
          <div class="row">
            <button
              type="button"
              class="plain-button"
              disabled={settings.system === RECOMMENDED_SYSTEM_PROMPT}
              onClick={() => chat.changeSettings({ system: RECOMMENDED_SYSTEM_PROMPT })}
            >
              {t('useRecommended')}
            </button>
            <button
              type="button"
              class="plain-button"
              disabled={settings.system === ''}
              onClick={() => chat.changeSettings({ system: '' })}
            >
              {t('clear')}
            </button>
          </div>
        </Section>
        <Section title={t('sampling')}>
          <SamplingSettings
            settings={settings}
            defaults={server.status === 'ready' ? server.info.defaults : {}}
            onChange={(change) => chat.changeSettings(change)}
          />
        </Section>
        <Section title={t('tools')}>
          <textarea
            class="code-input"
            rows={4}
            spellcheck={false}
            value={settings.tools}
            placeholder={'[{"type": "function", "function": {"name": "…", "parameters": {…}}}]'}
            aria-label={t('tools')}
            aria-invalid={parseTools(settings.tools) === undefined}
            onInput={(event) => chat.changeSettings({ tools: event.currentTarget.value })}
          />
          <p class={parseTools(settings.tools) === undefined ? 'hint wrong' : 'hint'}>
            {parseTools(settings.tools) === undefined ? t('toolsInvalid') : t('toolsHint')}
          </p>
        </Section>
        <Section title={t('appearance')}>
          <Choice<Theme>
            label={t('theme')}
            value={settings.theme}
            options={[
              ['system', t('themeSystem')],
              ['light', t('themeLight')],
              ['dark', t('themeDark')],
            ]}
            onChange={(theme) => chat.changeSettings({ theme })}
          />
          <Choice<Language | 'auto'>
            label={t('language')}
            value={settings.language ?? 'auto'}
            options={[
              ['auto', t('automatic')],
              ['en', 'English'],
              ['ja', '日本語'],
            ]}
            onChange={(language) =>
              chat.changeSettings({ language: language === 'auto' ? undefined : language })
            }
          />
        </Section>
        <Section title={t('apiKey')}>
          <input
            type="password"
            autocomplete="off"
            value={settings.apiKey}
            aria-label={t('apiKey')}
            onInput={(event) => chat.changeSettings({ apiKey: event.currentTarget.value })}
            onChange={() => void chat.connect()}
          />
          <p class="hint">{t('apiKeyHint')}</p>
        </Section>
      </div>
    </dialog>
  );
}

function Section({ title, children }: { title: string; children: ComponentChildren }) {
  return (
    <section>
      <h3>{title}</h3>
      {children}
    </section>
  );
}

interface ChoiceProps<V extends string> {
  label: string;
  value: V;
  options: readonly (readonly [V, string])[];
  onChange: (value: V) => void;
}

function Choice<V extends string>({ label, value, options, onChange }: ChoiceProps<V>) {
  return (
    <fieldset class="choice">
      <legend>{label}</legend>
      <div class="segments">
        {options.map(([option, name]) => (
          <label key={option}>
            <input
              type="radio"
              name={label}
              value={option}
              checked={option === value}
              onChange={() => onChange(option)}
            />
            <span>{name}</span>
          </label>
        ))}
      </div>
    </fieldset>
  );
}
