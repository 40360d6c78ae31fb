import type { Message } from '../chat/messages.js';
import { usePage } from './page-context.js';

/** How much of the context the conversation took when it was last answered. */
export function ContextMeter({ path, total }: { path: readonly Message[]; total: number }) {
  const { t } = usePage();
  const answered = path.findLast((message) => message.role === 'assistant' && message.stats !== undefined);
  const stats = answered?.role === 'assistant' ? answered.stats : undefined;
  if (!stats || total === 0) return null;
  const used = stats.promptTokens + stats.generatedTokens;
  const share = Math.min(1, used / total);
  const label = t('contextUse', { used: used.toLocaleString(), total: total.toLocaleString() });
  return (
    <div class={`context-meter ${share > 0.85 ? 'full' : ''}`} title={label}>
      <span class="wide-only">{t('context')}</span>
      {/* biome-ignore lint/a11y/useSemanticElements: browsers draw <meter> each in its own way */}
      <svg
        viewBox="0 0 72 6"
        role="meter"
        aria-label={label}
        aria-valuemin={0}
        aria-valuemax={total}
        aria-valuenow={used}
      >
        <rect width="72" height="6" />
        <rect class="used" width={Math.max(2, share * 72)} height="6" />
      </svg>
      <span>{Math.round(share * 100)}%</span>
    </div>
  );
}
