/**
 * Llama 4's prompt layout, for models that bring no template: role header, two newlines, content, end of turn,
 * as in Meta's model card; tool results have the role `ipython`.
 */
export const LLAMA4_TEMPLATE = `{{- bos_token -}}
{%- for message in messages -%}
  {{- '<|header_start|>' + ('ipython' if message.role == 'tool' else message.role) + '<|header_end|>\\n\\n' -}}
  {%- if message.content is string -%}
    {{- message.content -}}
  {%- elif message.content -%}
    {%- for part in message.content -%}
      {%- if part.type == 'text' -%}{{- part.text -}}{%- elif part.type == 'image' -%}{{- '<|image|>' -}}{%- endif -%}
    {%- endfor -%}
  {%- endif -%}
  {{- '<|eot|>' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
  {{- '<|header_start|>assistant<|header_end|>\\n\\n' -}}
{%- endif -%}`;
