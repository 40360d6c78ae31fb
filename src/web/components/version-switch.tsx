import { IconButton } from './icon-button.js';
import type { MessageProps } from './message-view.js';
import { usePage } from './page-context.js';

type VersionSwitchProps = Pick<MessageProps, 'version' | 'versionCount' | 'earlier' | 'later' | 'locked'>;

export function VersionSwitch({ version, versionCount, earlier, later, locked }: VersionSwitchProps) {
  const { chat, t } = usePage();
  if (versionCount < 2) return null;
  const show = (id: string | undefined) => id !== undefined && chat.showVersion(id);
  const label = t('version', { n: version + 1, total: versionCount });
  return (
    <div class="versions">
      <IconButton
        icon="left"
        label={t('previous')}
        disabled={locked || !earlier}
        onClick={() => show(earlier)}
      />
      <span role="img" aria-label={label}>
        {version + 1}/{versionCount}
      </span>
      <IconButton icon="right" label={t('next')} disabled={locked || !later} onClick={() => show(later)} />
    </div>
  );
}
