"""PPO against the real vLLM: an optional suite with an environment of its own (make test-vllm)."""
