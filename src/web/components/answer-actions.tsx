import { useState } from 'preact/hooks';
import type { AnswerStats, AssistantMessage } from '../chat/messages.js';
import type { Texts } from '../language/texts.js';
import { copyText } from './copy-text.js';
import { IconButton } from './icon-button.js';
import type { MessageProps } from './message-view.js';
import { usePage } from './page-context.js';
import { VersionSwitch } from './version-switch.js';

const COPIED_MILLISECONDS = 1500;

/** What can be done with an answer, and its figures. */
export function AnswerActions(props: MessageProps & { message: AssistantMessage }) {
  const { message, last, locked } = props;
  const { chat, t } = usePage();
  const [copied, setCopied] = useState(false);
  const { text, calls, end, stats } = message;
  const cutShort = end === 'length' || end === 'stopped' || end === 'failed';
  const copy = async () => {
    await copyText(text);
    setCopied(true);
    setTimeout(() => setCopied(false), COPIED_MILLISECONDS);
  };
  return (
    <div class="message-actions">
      <VersionSwitch {...props} />
      {text !== '' && (
        <IconButton
          icon={copied ? 'check' : 'copy'}
          label={copied ? t('copied') : t('copy')}
          onClick={copy}
        />
      )}
      <IconButton
        icon="refresh"
        label={t('regenerate')}
        disabled={locked}
        onClick={() => chat.regenerate(message)}
      />
      {last && cutShort && text !== '' && calls.length === 0 && (
        <button
          type="button"
          class="quiet-button continue"
          disabled={locked}
          onClick={() => chat.continue(message)}
        >
          {t('continue')}
        </button>
      )}
      {end === 'length' && <span class="end-note">{t('answerLength')}</span>}
      {end === 'stopped' && <span class="end-note">{t('answerStopped')}</span>}
      {stats && <Figures stats={stats} t={t} />}
    </div>
  );
}

function Figures({ stats, t }: { stats: AnswerStats; t: Texts }) {
  const {
    tokensPerSecond: speed,
    generatedTokens: generated,
    promptTokens,
    cachedTokens,
    waitSeconds,
  } = stats;
  const detail = t('statsDetail', {
    generated,
    prompt: promptTokens,
    cached: cachedTokens,
    wait: waitSeconds.toFixed(1),
  });
  return (
    <span class="figures" title={detail}>
      {speed !== undefined && <span>{t('speed', { speed: speed.toFixed(speed < 100 ? 1 : 0) })}</span>}
      <span>{t('tokens', { n: generated.toLocaleString() })}</span>
    </span>
  );
}
