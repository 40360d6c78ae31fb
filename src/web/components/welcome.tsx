import { Logo } from './icon.js';
import { usePage } from './page-context.js';

export function Welcome({ onChoose }: { onChoose: (text: string) => void }) {
  const { t } = usePage();
  return (
    <section class="welcome">
      <Logo />
      <h1>{t('welcome')}</h1>
      <p>{t('welcomeHint')}</p>
      <div class="suggestions">
        {([1, 2, 3] as const).map((n) => (
          <button
            key={n}
            type="button"
            onClick={() => {
              onChoose(t(`suggestion${n}Text`));
              document.getElementById('composer')?.focus();
            }}
          >
            <strong>{t(`suggestion${n}`)}</strong>
            <span>{t(`suggestion${n}Text`)}</span>
          </button>
        ))}
      </div>
    </section>
  );
}
