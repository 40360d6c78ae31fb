import { writeFileAtomic } from '../../base/atomic-file.js';
import { html, trusted } from '../../base/html.js';
import type { TrainingHistory } from './training-history.js';
import { TRAINING_STYLE } from './training-style.js';
import { trainingTexts } from './training-texts.js';
import { trainingView } from './training-view.js';

/**
 * A run as one HTML page that needs nothing else: no scripts, no network, light or dark as the reader's system is.
 * Pure.
 */
export function trainingReport(history: TrainingHistory): string {
  const view = trainingView(history, trainingTexts('en'));
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${history.start?.model ?? ''}: training report</title>
<style>${trusted(TRAINING_STYLE)}</style>
</head>
<body>
<main>
${Object.values(view)}
</main>
</body>
</html>
`;
  return page.text;
}

/** Writes `trainingReport`. Throws as `writeFileAtomic`. */
export async function writeTrainingReport(path: string, history: TrainingHistory): Promise<void> {
  await writeFileAtomic(path, trainingReport(history));
}
