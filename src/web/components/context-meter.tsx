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
      <meter min={0} max={total} value={used} high={total * 0.85} aria-label={label} />
      <span>{Math.round(share * 100)}%</span>
    </div>
  );
}
