// Bundles the chat page of src/web into dist/web: index.html and assets named by their content.
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
