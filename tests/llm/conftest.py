"""Opt-in: without LLM_VENV (see `make test-llm`) nothing here is collected."""

import os

collect_ignore = [] if os.environ.get("LLM_VENV") else ["test_vllm.py"]
