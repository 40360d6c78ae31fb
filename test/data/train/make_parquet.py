"""Writes the Parquet files of the tests of training data, as pyarrow writes them."""

import sys

import pyarrow as pa
import pyarrow.parquet as pq

folder = sys.argv[1]
message = pa.struct([("role", pa.string()), ("content", pa.string())])
chats = [
    [("user", f"What is {i} times two?"), ("assistant", f"{i} times two is {2 * i}. Ü")] for i in range(40)
]
rows = pa.table(
    {
        "id": pa.array(range(40), pa.int64()),
        "messages": pa.array(
            [[{"role": role, "content": content} for role, content in chat] for chat in chats], pa.list_(message)
        ),
        "tools": pa.array([None] * 40, pa.string()),
    }
)
for codec in ["none", "snappy", "gzip", "zstd", "brotli", "lz4"]:
    pq.write_table(rows, f"{folder}/chats-{codec}.parquet", compression=codec, row_group_size=15)
content = pa.list_(pa.struct([("type", pa.string()), ("text", pa.string())]))
picture = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
pq.write_table(
    pa.table(
        {
            "images": pa.array([[{"bytes": b"\x89PNG fake \xff\x00", "path": None}]], pa.list_(picture)),
            "messages": pa.array(
                [
                    [
                        {"role": "user", "content": [{"type": "image", "text": None}, {"type": "text", "text": "What is it?"}]},
                        {"role": "assistant", "content": [{"type": "text", "text": "A llama."}]},
                    ]
                ],
                pa.list_(pa.struct([("role", pa.string()), ("content", content)])),
            ),
        }
    ),
    f"{folder}/pictures.parquet",
)
pq.write_table(pa.table({"label": pa.array([1, 2]), "url": pa.array(["a", "b"])}), f"{folder}/other.parquet")
