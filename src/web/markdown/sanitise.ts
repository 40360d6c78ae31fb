import createPurifier from 'dompurify';

const purifier = createPurifier(window);

/** HTML of a model's text with nothing in it that could run, load or imitate the page's own controls. */
export function sanitise(html: string): string {
  return purifier.sanitize(html, {
    ALLOWED_TAGS: [
      ...['p', 'br', 'hr', 'strong', 'em', 'del', 'a', 'code', 'pre', 'blockquote', 'ul', 'ol', 'li'],
      ...['h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'table', 'thead', 'tbody', 'tr', 'th', 'td', 'div', 'span'],
      ...['sub', 'sup', 'kbd', 'mark', 'u', 'b', 'i', 's', 'button'],
    ],
    ALLOWED_ATTR: ['href', 'target', 'rel', 'class', 'align', 'start', 'type', 'tabindex'],
    // The expression is for addresses; it would drop the values of these.
    ALLOWED_URI_REGEXP: /^(?:https?|mailto):/i,
    ADD_URI_SAFE_ATTR: ['target', 'rel', 'align', 'start', 'type', 'tabindex'],
    ALLOW_DATA_ATTR: false,
  });
}
