"""Opens an adapter of `cria finetune` in PEFT and compares the model with it in transformers and in Cria.

    pip install torch transformers peft safetensors
    python bench/peers/finetune_check.py ADAPTER [BASE]

ADAPTER is a PEFT folder, of fused experts too; BASE the checkpoint that it was trained on (nano-scout by default), in
floats. Prints JSON: whether PEFT took every tensor of the file unchanged, and distances of logits.
"""

import json
import sys
from pathlib import Path

import peft
import torch
import transformers
from bnb_check import NANO, TOKENS, compare, cria_logits, fuse_experts, model_of, read_tensors
from peft import PeftModel, get_peft_model_state_dict
from transformers import AutoConfig, AutoTokenizer


@torch.no_grad()
def main(adapter, base=NANO):
    text = (NANO / "evaluation.txt").read_text()
    ids = AutoTokenizer.from_pretrained(base)(text[:20000])["input_ids"][:TOKENS]
    model = model_of(AutoConfig.from_pretrained(base), fuse_experts(read_tensors(base)))
    batch = torch.tensor([ids])
    plain = model(input_ids=batch).logits[0]
    adapted = PeftModel.from_pretrained(model, adapter).eval()
    logits = adapted(input_ids=batch).logits[0]
    stored = read_tensors(adapter)
    taken = get_peft_model_state_dict(adapted)
    config = json.loads((Path(adapter) / "adapter_config.json").read_text())
    report = {
        "peft": peft.__version__,
        "transformers": transformers.__version__,
        "rank": config["r"],
        "tensors": len(stored),
        "tensors of experts": sum(".experts." in name for name in stored),
        "every tensor taken": stored.keys() == taken.keys()
        and all(torch.equal(stored[name].float(), taken[name].float()) for name in stored),
        "PEFT beside the base": compare(logits, plain),
        "Cria beside PEFT": compare(cria_logits(base, ids, logits.shape[-1], adapter), logits),
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main(*sys.argv[1:3])
