"""Fields of a chat completion request that are for the model behind an agent.

A run carries those fields of this list that its request has; no other field of a request gets to an agent. The agent
decides which of them reach its model.
"""

from __future__ import annotations

TOOLS = "tools"  # a run carries them apart from the others: every kind of agent may read them
TOOL_PARAMS = ("tool_choice", "parallel_tool_calls")  # mean nothing without tools

# Sampling, length and form of an answer, which any client may choose.
USUAL = (
    *TOOL_PARAMS,
    "temperature",
    "top_p",
    "max_tokens",
    "max_completion_tokens",
    "stop",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "response_format",
    "reasoning_effort",
    "verbosity",
)

# Fields that some servers refuse, and fields that may cost money or store data.
OTHERS = (
    "top_k",
    "min_p",
    "repetition_penalty",
    "chat_template_kwargs",
    "metadata",
    "prediction",
    "prompt_cache_key",
    "safety_identifier",
    "service_tier",
    "store",
    "web_search_options",
)

PARAMS = (*USUAL, *OTHERS)
