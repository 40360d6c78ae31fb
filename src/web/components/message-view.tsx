import { useState } from 'preact/hooks';
import type { AssistantMessage, Message, ToolMessage, UserMessage } from '../chat/messages.js';
import { AnswerActions } from './answer-actions.js';
import { EditBox } from './edit-box.js';
import { failureText } from './failure-text.js';
import { Icon } from './icon.js';
import { IconButton } from './icon-button.js';
import { MarkdownView } from './markdown-view.js';
import { memo } from './memo.js';
import { usePage } from './page-context.js';
import { ToolCallView } from './tool-call-view.js';
import { VersionSwitch } from './version-switch.js';

export interface MessageProps {
  message: Message;
  /** Whether nothing follows it. */
  last: boolean;
  /** Whether it is being written right now. */
  writing: boolean;
  /** Whether any message of the conversation is being written: nothing else may change then. */
  locked: boolean;
  editing: boolean;
  onEdit: (id: string | undefined) => void;
  /** Which of its versions it is, and the ids of those beside it. */
  version: number;
  versionCount: number;
  earlier: string | undefined;
  later: string | undefined;
  /** Ids of its calls that wait for a result. */
  openCalls: readonly string[];
}

export const MessageView = memo((props: MessageProps) => {
  const { message } = props;
  switch (message.role) {
    case 'user':
      return <UserView {...props} message={message} />;
    case 'assistant':
      return <AssistantView {...props} message={message} />;
    case 'tool':
      return <ToolResultView message={message} />;
  }
});

function UserView(props: MessageProps & { message: UserMessage }) {
  const { message, locked, editing, onEdit } = props;
  const { chat, t } = usePage();
  const [large, setLarge] = useState<string>();
  return (
    <article class={`message user ${editing ? 'editing' : ''}`} aria-label={t('you')}>
      {message.pictures.length > 0 && (
        <ul class="pictures">
          {message.pictures.map((picture) => (
            <li key={picture.url}>
              <button type="button" onClick={() => setLarge(picture.url)}>
                <img src={picture.preview} alt={picture.name} />
              </button>
            </li>
          ))}
        </ul>
      )}
      {editing ? (
        <EditBox
          text={message.text}
          onCancel={() => onEdit(undefined)}
          onSave={(text) => {
            onEdit(undefined);
            chat.edit(message, text);
          }}
        />
      ) : (
        message.text !== '' && <div class="bubble">{message.text}</div>
      )}
      {!editing && (
        <div class="message-actions">
          <VersionSwitch {...props} />
          <IconButton icon="pencil" label={t('edit')} disabled={locked} onClick={() => onEdit(message.id)} />
        </div>
      )}
      {large !== undefined && (
        <dialog class="picture-dialog" ref={showOnce} onClose={() => setLarge(undefined)}>
          <button type="button" aria-label={t('close')} onClick={() => setLarge(undefined)}>
            <img src={large} alt="" />
          </button>
        </dialog>
      )}
    </article>
  );
}

function showOnce(dialog: HTMLDialogElement | null): void {
  if (dialog?.open === false) dialog.showModal();
}

function AssistantView(props: MessageProps & { message: AssistantMessage }) {
  const { message, writing, openCalls } = props;
  const { chat, t } = usePage();
  const { text, calls, failure } = message;
  const begun = text !== '' || calls.length > 0;
  return (
    <article class="message assistant" aria-label={t('assistant')} aria-busy={writing}>
      {writing && !begun && (
        <div class="thinking" role="img" aria-label={t('thinking')}>
          <span />
          <span />
          <span />
        </div>
      )}
      {text !== '' && <MarkdownView text={text} writing={writing && calls.length === 0} />}
      {calls.map((call) => (
        <ToolCallView key={call.id} call={call} open={!writing && openCalls.includes(call.id)} />
      ))}
      {failure && !writing && (
        <div class="trouble" role="alert">
          <Icon name="warning" />
          <span>{failure.kind === 'network' && begun ? t('cut') : failureText(failure, t)}</span>
          <button
            type="button"
            class="text-button"
            disabled={props.locked}
            onClick={() => chat.regenerate(message)}
          >
            {t('retry')}
          </button>
        </div>
      )}
      {!writing && (begun || props.versionCount > 1) && <AnswerActions {...props} />}
    </article>
  );
}

function ToolResultView({ message }: { message: ToolMessage }) {
  const { t } = usePage();
  return (
    <article class="message tool-result" aria-label={t('toolResult')}>
      <h3>{t('toolResult')}</h3>
      <pre>{message.text}</pre>
    </article>
  );
}
