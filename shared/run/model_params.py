"""Fields of a chat completion request that are for the model behind an agent.

A run carries those that its request has; no other field of a request gets to an agent. Which of them reach a model, its
agent says.
"""

from __future__ import annotations

TOOLS = "tools"  # carried apart from the others: every kind of agent may look at them
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

# What some servers refuse to know, and what may cost or store something.
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
