/** What the prompts of the games say about where the program will run. */
export function hostRules(width: number, height: number): string {
  return `Write one complete JavaScript program without libraries, in a single \`\`\`js block. It runs as a classic script in a \
page that has one <canvas> of ${width} × ${height} pixels: the globals \`canvas\` and \`ctx\` (its 2D context) are \
there, and so are document, window, requestAnimationFrame, setTimeout, setInterval, performance.now, Math.random and \
keyboard and mouse events (keydown, keyup, mousedown, click). There are no images, sounds, modules, files or network: \
draw everything on the canvas, with shapes and fillText. Clear and draw the whole canvas in every frame. Do not change \
the size of the canvas. The game begins at once, without a title screen.`;
}
