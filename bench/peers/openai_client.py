"""Uses a running `cria serve` through OpenAI's Python client: python openai_client.py URL [MODEL]."""

import json
import sys

from openai import OpenAI

url, model = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "model"
client = OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
question = [{"role": "user", "content": "What colour is the sky?"}]

whole = client.chat.completions.create(model=model, messages=question, max_tokens=24, seed=7)
stream = client.chat.completions.create(
    model=model, messages=question, max_tokens=24, seed=7, stream=True, stream_options={"include_usage": True}
)
chunks = list(stream)
text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
assert text == whole.choices[0].message.content, (text, whole)
assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens

tools = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "Weather of a city",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string", "maxLength": 20}},
                "required": ["city"],
                "additionalProperties": False,
            },
        },
    }
]
called = client.chat.completions.create(
    model=model, messages=question, tools=tools, tool_choice="required", max_tokens=200
)
call = called.choices[0].message.tool_calls[0]
assert isinstance(json.loads(call.function.arguments)["city"], str)

schema = {"type": "object", "properties": {"blue": {"type": "boolean"}}, "required": ["blue"], "additionalProperties": False}
formed = client.chat.completions.create(
    model=model,
    messages=question,
    max_tokens=100,
    response_format={"type": "json_schema", "json_schema": {"name": "sky", "schema": schema, "strict": True}},
)
assert isinstance(json.loads(formed.choices[0].message.content)["blue"], bool)

embedded = client.embeddings.create(model=model, input=["a llama", "a sum"])
assert len(embedded.data) == 2 and len(embedded.data[0].embedding) > 0
completed = client.completions.create(model=model, prompt="The sky is", max_tokens=5)
assert completed.choices[0].text
assert client.models.list().data[0].id
print(json.dumps({"text": text, "call": call.function.arguments, "embedding": len(embedded.data[0].embedding)}))
