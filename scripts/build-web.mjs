// Bundles the chat page of src/web into dist/web: index.html and assets named by their content; and the script of the
// page that follows a training run into dist/web/training/page.js.
import { build } from 'vite';

await build({
  root: 'src/web',
  base: './',
  configFile: false,
  publicDir: false,
  logLevel: 'warn',
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    outDir: '../../dist/web',
    emptyOutDir: true,
    target: 'es2022',
    cssTarget: ['chrome123', 'firefox120', 'safari17.5'],
    // The page's policy allows neither inline code nor data: styles.
    assetsInlineLimit: 0,
    modulePreload: false,
    // The licences of what is bundled have to go with it.
    license: { fileName: 'licenses.md' },
  },
});

await build({
  root: 'src/web/training',
  configFile: false,
  publicDir: false,
  logLevel: 'warn',
  build: {
    outDir: '../../../dist/web/training',
    emptyOutDir: true,
    target: 'es2022',
    modulePreload: false,
    rolldownOptions: { input: 'src/web/training/main.ts', output: { entryFileNames: 'page.js' } },
  },
});
