import { useState } from 'preact/hooks';
import type { Failure } from '../chat/failure.js';
import { failureText } from './failure-text.js';
import { Icon } from './icon.js';
import { usePage } from './page-context.js';

/** Why the server cannot be used, with what helps: a key, or another try. */
export function ServerTrouble({ failure }: { failure: Failure }) {
  const { chat, t } = usePage();
  const [key, setKey] = useState(chat.state.settings.apiKey);
  if (failure.kind !== 'unauthorized') {
    return (
      <div class="trouble" role="alert">
        <Icon name="warning" />
        <span>{failureText(failure, t)}</span>
        <button type="button" class="text-button" onClick={() => void chat.connect()}>
          {t('retry')}
        </button>
      </div>
    );
  }
  return (
    <form
      class="trouble"
      onSubmit={(event) => {
        event.preventDefault();
        chat.changeSettings({ apiKey: key.trim() });
        void chat.connect();
      }}
    >
      <Icon name="warning" />
      <span>{t('unauthorized')}</span>
      <input
        type="password"
        autocomplete="off"
        aria-label={t('apiKey')}
        placeholder={t('apiKey')}
        value={key}
        onInput={(event) => setKey(event.currentTarget.value)}
      />
      <button type="submit" class="text-button">
        {t('connect')}
      </button>
    </form>
  );
}
