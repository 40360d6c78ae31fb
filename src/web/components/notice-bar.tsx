import { useEffect } from 'preact/hooks';
import type { Texts } from '../language/texts.js';
import type { Notice } from '../state/chat-app.js';
import { IconButton } from './icon-button.js';
import { usePage } from './page-context.js';

const MILLISECONDS = 7000;

export function NoticeBar({ notice }: { notice: Notice | undefined }) {
  const { chat, t } = usePage();
  useEffect(() => {
    if (!notice) return;
    const timer = setTimeout(() => chat.notify(undefined), MILLISECONDS);
    return () => clearTimeout(timer);
  }, [notice, chat]);
  return (
    <div class="notices" role="status">
      {notice && (
        <div class="notice">
          <span>{noticeText(notice, t)}</span>
          {notice.kind === 'deleted' && (
            <button type="button" class="text-button" onClick={() => chat.restore(notice.conversation)}>
              {t('undo')}
            </button>
          )}
          <IconButton icon="close" label={t('close')} onClick={() => chat.notify(undefined)} />
        </div>
      )}
    </div>
  );
}

function noticeText(notice: Notice, t: Texts): string {
  switch (notice.kind) {
    case 'deleted':
      return t('deleted', { title: notice.conversation.title || t('untitled') });
    case 'imported':
      return t('imported', { n: notice.count });
    case 'import-failed':
      return t('importFailed', { detail: notice.detail });
    case 'no-picture':
      return t('noPicture', { name: notice.name });
  }
}
