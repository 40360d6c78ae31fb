import { useState } from 'preact/hooks';
import type { ToolCall } from '../chat/messages.js';
import { Icon } from './icon.js';
import { usePage } from './page-context.js';

/** A call the model makes; `open` while it waits for the result, which the reader can give. */
export function ToolCallView({ call, open }: { call: ToolCall; open: boolean }) {
  const { chat, t } = usePage();
  const [result, setResult] = useState('');
  return (
    <section class="tool-call" aria-label={t('toolCall', { name: call.name })}>
      <h3>
        <Icon name="tool" />
        <code>{call.name}</code>
      </h3>
      <pre>{prettyJson(call.arguments)}</pre>
      {open && (
        <div class="tool-answer">
          <textarea
            rows={2}
            value={result}
            placeholder={t('toolResultHint')}
            aria-label={t('toolResult')}
            onInput={(event) => setResult(event.currentTarget.value)}
          />
          <button type="button" class="main-button" onClick={() => chat.answerCall(call.id, result)}>
            {t('sendResult')}
          </button>
        </div>
      )}
    </section>
  );
}

/** Indented where it is JSON; as it is while it is still being written. */
function prettyJson(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
