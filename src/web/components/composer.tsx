import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { Picture } from '../chat/messages.js';
import type { ServerInfo } from '../chat/server-api.js';
import { readPicture } from '../state/picture.js';
import { Icon, StopIcon } from './icon.js';
import { IconButton } from './icon-button.js';
import { usePage } from './page-context.js';

interface ComposerProps {
  draft: string;
  onDraft: (text: string) => void;
  info: ServerInfo | undefined;
  writing: boolean;
  onEditLast: () => void;
  onSent: () => void;
}

export function Composer({ draft, onDraft, info, writing, onEditLast, onSent }: ComposerProps) {
  const { chat, t } = usePage();
  const area = useRef<HTMLTextAreaElement>(null);
  const file = useRef<HTMLInputElement>(null);
  const [pictures, setPictures] = useState<readonly Picture[]>([]);
  const vision = info?.vision === true;
  const addFiles = async (files: Iterable<File>) => {
    for (const chosen of files) {
      const picture = await readPicture(chosen);
      if (picture) setPictures((before) => [...before, picture]);
      else chat.notify({ kind: 'no-picture', name: chosen.name });
    }
  };
  const dropping = useDrop(vision, addFiles);
  useLayoutEffect(() => fitHeight(area.current!), [draft]);
  useEffect(() => {
    // On phones the focus would bring the keyboard up.
    if (matchMedia('(hover: hover)').matches) area.current?.focus();
  }, [chat.state.current]);
  const ready = info !== undefined && !writing && (draft.trim() !== '' || pictures.length > 0);
  const send = () => {
    if (!ready) return;
    chat.send(draft.trim(), pictures);
    onDraft('');
    setPictures([]);
    onSent();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    // Enter also ends the conversion of Japanese input; Safari tells so by the key code alone.
    if (event.isComposing || event.keyCode === 229) return;
    if (event.key === 'Enter' && !event.shiftKey) {
      event.preventDefault();
      send();
    } else if (event.key === 'ArrowUp' && draft === '' && !writing) {
      event.preventDefault();
      onEditLast();
    }
  };
  return (
    <div class={`composer ${dropping ? 'dropping' : ''}`}>
      {dropping && <div class="drop-hint">{t('dropHere')}</div>}
      {pictures.length > 0 && (
        <ul class="chosen-pictures">
          {pictures.map((picture, i) => (
            <li key={picture.url}>
              <img src={picture.preview} alt={picture.name} />
              <IconButton
                icon="close"
                label={t('removePicture', { name: picture.name })}
                onClick={() => setPictures(pictures.filter((_, at) => at !== i))}
              />
            </li>
          ))}
        </ul>
      )}
      <textarea
        id="composer"
        ref={area}
        rows={1}
        value={draft}
        placeholder={info ? t('placeholder', { model: info.model }) : t('placeholderPlain')}
        aria-label={t('placeholderPlain')}
        aria-keyshortcuts="Enter"
        onInput={(event) => onDraft(event.currentTarget.value)}
        onKeyDown={onKeyDown}
        onPaste={(event) => {
          const files = event.clipboardData?.files;
          if (!vision || !files?.length) return;
          event.preventDefault();
          void addFiles(files);
        }}
      />
      <div class="composer-bar">
        {vision && (
          <>
            <IconButton icon="picture" label={t('attach')} onClick={() => file.current?.click()} />
            <input
              ref={file}
              type="file"
              accept="image/*"
              multiple
              class="visually-hidden picture-file"
              aria-label={t('attach')}
              tabIndex={-1}
              onChange={({ currentTarget: input }) => {
                void addFiles([...(input.files ?? [])]);
                input.value = '';
              }}
            />
          </>
        )}
        <span class="keys wide-only">{t('keys')}</span>
        {writing ? (
          <button
            type="button"
            class="send stop"
            aria-label={t('stop')}
            title={`${t('stop')} (Esc)`}
            onClick={() => chat.stop()}
          >
            <StopIcon />
          </button>
        ) : (
          <button
            type="button"
            class="send"
            aria-label={t('send')}
            title={t('send')}
            disabled={!ready}
            onClick={send}
          >
            <Icon name="send" />
          </button>
        )}
      </div>
    </div>
  );
}

export function fitHeight(area: HTMLTextAreaElement): void {
  area.style.height = 'auto';
  area.style.height = `${area.scrollHeight}px`;
}

/** Takes files that are dropped anywhere on the page; true while some are held over it. */
function useDrop(enabled: boolean, take: (files: FileList) => void): boolean {
  const [over, setOver] = useState(false);
  const latest = useRef(take);
  latest.current = take;
  useEffect(() => {
    const hasFiles = (event: DragEvent) => event.dataTransfer?.types.includes('Files') === true;
    const onOver = (event: DragEvent) => {
      if (!hasFiles(event)) return;
      // Otherwise the browser would leave the page for the file.
      event.preventDefault();
      setOver(enabled);
    };
    const onLeave = (event: DragEvent) => {
      if (event.relatedTarget === null) setOver(false);
    };
    const onDrop = (event: DragEvent) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      setOver(false);
      if (enabled) latest.current(event.dataTransfer!.files);
    };
    addEventListener('dragover', onOver);
    addEventListener('dragleave', onLeave);
    addEventListener('drop', onDrop);
    return () => {
      removeEventListener('dragover', onOver);
      removeEventListener('dragleave', onLeave);
      removeEventListener('drop', onDrop);
    };
  }, [enabled]);
  return over;
}
