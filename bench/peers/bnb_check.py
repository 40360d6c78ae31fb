"""Opens a checkpoint of `cria export` in transformers and compares it with the model it was made from.

    pip install torch transformers safetensors        # and bitsandbytes, accelerate where there are builds
    python bench/peers/bnb_check.py EXPORTED [ORIGINAL]

Where bitsandbytes is installed and this transformers has a linear layer for each expert, transformers loads the folder
itself. Elsewhere the weights are decoded here, by the documented layout and without any of Cria's code, and loaded
into transformers' model under its own names, all of which must match. Prints JSON.
"""

import importlib.util
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import transformers
from safetensors import safe_open
from transformers import AutoConfig, AutoTokenizer, Llama4ForCausalLM, Llama4ForConditionalGeneration

HERE = Path(__file__).resolve().parent
NANO = HERE.parent.parent / "models" / "nano-scout"
TOKENS = 256


def read_tensors(folder):
    tensors = {}
    for path in sorted(Path(folder).glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            for name in file.keys():
                tensors[name] = file.get_tensor(name)
    return tensors


def unpack_codes(packed, count):
    flat = packed.contiguous().view(torch.uint8).flatten()
    return torch.stack([flat >> 4, flat & 15], 1).flatten()[:count].long()


def decode_four_bit(tensors, name, state_name):
    state = json.loads(bytes(tensors[state_name].tolist()).decode())
    count = torch.Size(state["shape"]).numel()
    absmax = tensors[f"{name}.absmax"]
    if "nested_offset" in state:
        nested = tensors[f"{name}.nested_absmax"].repeat_interleave(state["nested_blocksize"])[: len(absmax)]
        absmax = tensors[f"{name}.nested_quant_map"][absmax.long()] * nested + state["nested_offset"]
    scales = absmax.repeat_interleave(state["blocksize"])[:count]
    values = tensors[f"{name}.quant_map"][unpack_codes(tensors[name], count)] * scales
    return values.view(state["shape"]).to(getattr(torch, state["dtype"])), absmax


def decode(tensors):
    """The weights as floats, and of each quantized one the largest error its rounding may make."""
    plain, bounds, consumed = {}, {}, set()
    for state_name in tensors:
        match = re.match(r"(.*)\.quant_state\.bitsandbytes__(nf4|fp4)$", state_name)
        if match:
            name = match[1]
            plain[name], absmax = decode_four_bit(tensors, name, state_name)
            gaps = tensors[f"{name}.quant_map"].sort().values.diff()
            bounds[name] = float(gaps.max() / 2 * absmax.max()) * 1.02 + 1e-6
            consumed.update(key for key in tensors if key.startswith(f"{name}."))
            consumed.add(name)
        elif state_name.endswith(".SCB"):
            module = state_name[: -len(".SCB")]
            scales = tensors[state_name]
            assert int(tensors[f"{module}.weight_format"]) == 0
            plain[f"{module}.weight"] = tensors[f"{module}.weight"] * scales[:, None] * 7.874015718698502e-3
            bounds[f"{module}.weight"] = float(scales.max() / 127 / 2) * 1.001
            consumed.update(f"{module}.{part}" for part in ("weight", "SCB", "weight_format"))
    plain.update((name, tensor) for name, tensor in tensors.items() if name not in consumed)
    return plain, bounds


def fuse_experts(plain):
    """Linear layers of experts as the fused tensors of this transformers."""
    fused, experts = {}, {}
    for name, tensor in plain.items():
        match = re.match(r"(.*\.experts)\.(\d+)\.(gate|up|down)_proj\.weight$", name)
        if match:
            experts.setdefault(match[1], {})[match[3], int(match[2])] = tensor.T
        else:
            fused[name] = tensor
    for prefix, parts in experts.items():
        count = len(parts) // 3
        pick = lambda kind: torch.stack([parts[kind, expert].float() for expert in range(count)])
        fused[f"{prefix}.gate_up_proj"] = torch.cat([pick("gate"), pick("up")], 2)
        fused[f"{prefix}.down_proj"] = pick("down")
    return fused


def check_skip_modules(model, plain, bounds, skipped):
    """Whether both ways in which versions of transformers read `llm_int8_skip_modules` name what is quantized."""
    from transformers.quantizers.quantizers_utils import should_convert_module

    linear = {name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    linear |= {name[: -len(".weight")] for name in plain if re.search(r"\.experts\.\d+\.", name)}
    quantized = {name[: -len(".weight")] for name in bounds}
    by_version_5 = {name for name in linear if should_convert_module(name, skipped)}
    by_version_4 = {name for name in linear if not any(key + "." in name or key == name for key in skipped)}
    return {"quantized": len(quantized), "version 5": by_version_5 == quantized, "version 4": by_version_4 == quantized}


def model_of(config, state):
    cls = Llama4ForConditionalGeneration if config.model_type == "llama4" else Llama4ForCausalLM
    model = cls(config).float().eval()
    model.load_state_dict({name: tensor.float() for name, tensor in state.items()}, strict=True)
    return model


def compare(logits, reference):
    p, q = reference.double().log_softmax(-1), logits.double().log_softmax(-1)
    return {
        "mean KL divergence": float((p.exp() * (p - q)).sum(-1).mean()),
        "largest difference of a logit": float((logits - reference).abs().max()),
        "same top token": float((logits.argmax(-1) == reference.argmax(-1)).float().mean()),
    }


def cria_logits(folder, ids, vocabulary, *adapters):
    with tempfile.TemporaryDirectory() as temporary:
        ids_file, out = Path(temporary) / "ids.json", Path(temporary) / "logits.f32"
        ids_file.write_text(json.dumps(ids))
        subprocess.run(["node", HERE / "checkpoint-logits.mjs", folder, ids_file, out, *adapters], check=True)
        return torch.frombuffer(bytearray(out.read_bytes()), dtype=torch.float32).view(-1, vocabulary)


@torch.no_grad()
def main(exported, original=NANO):
    config = AutoConfig.from_pretrained(exported)
    quantization = getattr(config, "quantization_config", None) or {}
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    tokenizer = AutoTokenizer.from_pretrained(exported)
    text = (NANO / "evaluation.txt").read_text()
    ids = tokenizer(text[:20000])["input_ids"][:TOKENS]
    tensors = read_tensors(exported)
    plain, bounds = decode(tensors)
    reference_state = fuse_experts(read_tensors(original))
    reference = model_of(AutoConfig.from_pretrained(original), reference_state)
    report = {"transformers": transformers.__version__, "torch": torch.__version__}

    has_bitsandbytes = importlib.util.find_spec("bitsandbytes") and importlib.util.find_spec("accelerate")
    linear_experts = any(re.search(r"\.experts\.\d+\.", name) for name in plain)
    sees_linear = int(transformers.__version__.split(".")[0]) < 5
    fused = fuse_experts(plain)
    if quantization and has_bitsandbytes and linear_experts == sees_linear:
        report["loaded by"] = "transformers and bitsandbytes"
        model = type(reference).from_pretrained(exported).eval()
    else:
        report["loaded by"] = "transformers, weights decoded by the documented layout (bitsandbytes not used)"
        model = model_of(config, fused)

    quantized = [name for name in bounds]
    split = fuse_experts({name: plain[name] for name in quantized})
    errors = [float((split[name].float() - reference_state[name].float()).abs().max()) for name in split]
    report["largest error of a weight"] = max(errors, default=0.0)
    report["largest error the format may make"] = max(bounds.values(), default=0.0)
    same = [name for name in fused if name not in split]
    report["kept tensors equal"] = all(torch.equal(fused[name].float(), reference_state[name].float()) for name in same)
    if quantization:
        report["skip list"] = check_skip_modules(reference, plain, bounds, quantization["llm_int8_skip_modules"])

    batch = torch.tensor([ids])
    expected = reference(input_ids=batch).logits[0].float()
    logits = model(input_ids=batch).logits[0].float()
    report["beside the original"] = compare(logits, expected)
    report["Cria's reading beside transformers'"] = compare(cria_logits(exported, ids, logits.shape[-1]), logits)
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main(*sys.argv[1:3])
