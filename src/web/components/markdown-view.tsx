import { Component } from 'preact';
import { useMemo, useRef } from 'preact/hooks';
import { GrowingMarkdown, type MarkdownBlock, markdownBlocks } from '../markdown/markdown-blocks.js';
import { sanitise } from '../markdown/sanitise.js';
import { copyText } from './copy-text.js';
import { usePage } from './page-context.js';

const COPIED_MILLISECONDS = 1500;

/** A model's text. While it grows, only its last block is drawn again. */
export function MarkdownView({ text, writing }: { text: string; writing: boolean }) {
  const { t } = usePage();
  const copy = t('copy');
  const growing = useRef(new GrowingMarkdown());
  const blocks = useMemo(
    () => (writing ? growing.current.blocks(text, { copy }) : markdownBlocks(text, { copy })),
    [text, copy, writing],
  );
  const onClick = async (event: MouseEvent) => {
    const button = (event.target as Element).closest<HTMLButtonElement>('.copy-code');
    const code = button?.closest('.code')?.querySelector('code')?.textContent;
    if (!button || typeof code !== 'string') return;
    await copyText(code);
    button.textContent = t('copied');
    setTimeout(() => {
      button.textContent = copy;
    }, COPIED_MILLISECONDS);
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the buttons within are what is clicked
    // biome-ignore lint/a11y/useKeyWithClickEvents: buttons turn keys into clicks
    <div class={`markdown ${writing ? 'writing' : ''}`} onClick={onClick}>
      {blocks.map((block, i) => (
        <Block key={`${copy} ${i}`} block={block} />
      ))}
    </div>
  );
}

class Block extends Component<{ block: MarkdownBlock }> {
  override shouldComponentUpdate(next: { block: MarkdownBlock }): boolean {
    return next.block.source !== this.props.block.source;
  }

  override render() {
    // The one place that takes HTML as it is.
    return <div class="block" dangerouslySetInnerHTML={{ __html: sanitise(this.props.block.html()) }} />;
  }
}
