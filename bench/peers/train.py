"""How fast PyTorch trains nano-scout on the processor: transformers' Llama 4, the reference implementation, in float32.

    pip install torch transformers peft safetensors
    python bench/peers/train.py [--tuning full|lora] [--experts reference|grouped] [--threads 2] [--batch 8]
        [--length 256] [--warmup 2] [--steps 6] [--rank 16] [--alpha 32] [--attention sdpa|eager] [--checkpointing] [--ids FILE]

transformers sends every token through every expert, with a score of 0 where the router did not choose it. `grouped`
replaces that by products of the chosen tokens alone, which computes the same. Prints one line of JSON.
"""

import argparse
import json
import resource
import time
from pathlib import Path

import torch
import transformers
from safetensors import safe_open
from transformers import AutoConfig, AutoTokenizer, Llama4ForCausalLM
from transformers.models.llama4 import modeling_llama4

NANO = Path(__file__).resolve().parent.parent.parent / "models" / "nano-scout"
ADAPTED = r".*\.(q_proj|k_proj|v_proj|o_proj|shared_expert\.(gate|up|down)_proj)"


def grouped_moe(self, hidden_states):
    hidden_states = hidden_states.reshape(-1, self.hidden_dim)
    scores, logits = self.router(hidden_states)
    out = self.shared_expert(hidden_states)
    for expert in range(self.num_experts):
        tokens = scores[:, expert].nonzero().squeeze(1)
        routed = hidden_states[tokens] * scores[tokens, expert, None]
        gate, up = (routed @ self.experts.gate_up_proj[expert]).chunk(2, dim=-1)
        out = out.index_add(0, tokens, (up * self.experts.act_fn(gate)) @ self.experts.down_proj[expert])
    return out, logits


def load(model_path, attention):
    config = AutoConfig.from_pretrained(model_path).get_text_config()
    config._attn_implementation = attention
    model = Llama4ForCausalLM(config).float()
    state = {}
    for path in sorted(Path(model_path).glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            for name in file.keys():
                if name.startswith("language_model."):
                    state[name.removeprefix("language_model.")] = file.get_tensor(name).float()
    model.load_state_dict(state, strict=True)
    return model.train()


def batches(ids_file, batch, length):
    if ids_file:
        ids = json.loads(Path(ids_file).read_text())
    else:
        ids = AutoTokenizer.from_pretrained(NANO)((NANO / "calibration.txt").read_text())["input_ids"]
    size = batch * length
    while True:
        for start in range(0, len(ids) - size, size):
            yield torch.tensor(ids[start : start + size]).view(batch, length)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ids", help="JSON array of tokens to train on, in place of nano-scout's calibration text")
    parser.add_argument("--tuning", choices=["full", "lora"], default="full")
    parser.add_argument("--experts", choices=["reference", "grouped"], default="reference")
    parser.add_argument("--attention", choices=["sdpa", "eager"], default="sdpa")
    parser.add_argument("--checkpointing", action="store_true")
    for name, value in dict(threads=2, batch=8, length=256, warmup=2, steps=6, rank=16, alpha=32).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    if options.experts == "grouped":
        modeling_llama4.Llama4TextMoe.forward = grouped_moe
    model = load(NANO, options.attention)
    if options.checkpointing:
        model.gradient_checkpointing_enable()
    if options.tuning == "lora":
        from peft import LoraConfig, get_peft_model

        lora = LoraConfig(r=options.rank, lora_alpha=options.alpha, target_modules=ADAPTED, task_type="CAUSAL_LM")
        model = get_peft_model(model, lora)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4)
    data = batches(options.ids, options.batch, options.length)
    losses, times = [], []
    for _ in range(options.warmup + options.steps):
        ids = next(data)
        begin = time.perf_counter()
        loss = model(input_ids=ids, labels=ids, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        times.append(time.perf_counter() - begin)
        losses.append(loss.item())
    timed = sorted(times[options.warmup :])
    tokens = options.batch * options.length
    print(
        json.dumps(
            {
                "engine": "PyTorch",
                "tuning": options.tuning,
                "experts": options.experts,
                "attention": options.attention,
                "tokensPerSecond": tokens * len(timed) / sum(timed),
                "tokensPerSecondBestStep": tokens / timed[0],
                "losses": losses,
                "trainableParameters": sum(parameter.numel() for parameter in trained),
                "peakBytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
                "threads": torch.get_num_threads(),
                "torch": torch.__version__,
                "transformers": transformers.__version__,
            }
        )
    )


if __name__ == "__main__":
    main()
