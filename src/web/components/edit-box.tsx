import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import { fitHeight } from './composer.js';
import { usePage } from './page-context.js';

interface EditBoxProps {
  text: string;
  onSave: (text: string) => void;
  onCancel: () => void;
}

export function EditBox({ text, onSave, onCancel }: EditBoxProps) {
  const { t } = usePage();
  const [draft, setDraft] = useState(text);
  const area = useRef<HTMLTextAreaElement>(null);
  useLayoutEffect(() => fitHeight(area.current!), [draft]);
  useLayoutEffect(() => {
    const { current } = area;
    current?.focus();
    current?.setSelectionRange(current.value.length, current.value.length);
  }, []);
  const save = () => {
    if (draft.trim() !== '') onSave(draft.trim());
  };
  return (
    <div class="edit-box">
      <textarea
        ref={area}
        rows={1}
        aria-label={t('edit')}
        value={draft}
        onInput={(event) => setDraft(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.isComposing || event.keyCode === 229) return;
          if (event.key === 'Enter' && !event.shiftKey) {
            event.preventDefault();
            save();
          } else if (event.key === 'Escape') {
            event.preventDefault();
            onCancel();
          }
        }}
      />
      <div class="edit-bar">
        <button type="button" class="plain-button" onClick={onCancel}>
          {t('cancel')}
        </button>
        <button type="button" class="main-button" disabled={draft.trim() === ''} onClick={save}>
          {t('save')}
        </button>
      </div>
    </div>
  );
}
