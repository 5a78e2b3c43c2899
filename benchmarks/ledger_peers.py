"""LiteLLM's budgets on embeddings and on chat, for ledger.py. Runs in a separate environment, without embedstack.

usage: ledger_peers.py KIND BUDGET CALLS ADDRESS. KIND is ``embedding`` or ``chat``; BUDGET is ``provider`` (of a
Router) or ``process`` (``litellm.max_budget``); ADDRESS is Bedrock's on a local AWS. The budget pays for half of the
calls. Prints a line of JSON: the calls that LiteLLM let pass, what they cost by its own price table, the budget, and
what it has counted.
"""

import asyncio
import json
import logging
import os
import sys
from typing import Any

# Otherwise it downloads its price table.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm
from litellm import Router

MODELS = {"embedding": "bedrock/amazon.titan-embed-text-v2:0", "chat": "bedrock/amazon.nova-micro-v1:0"}
# Spend is counted in a background task.
_PAUSE_SECONDS = 0.005


async def main() -> None:
    logging.disable()
    kind, budget_of, calls, address = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    models = [
        {
            "model_name": "model",
            "litellm_params": {
                "model": MODELS[kind], "aws_region_name": "us-east-1", "aws_bedrock_runtime_endpoint": address
            },
        }
    ]  # fmt: skip
    cost = litellm.completion_cost(await _request(kind, Router(model_list=models)))
    budget = cost * calls / 2
    router = Router(model_list=models)
    if budget_of == "provider":
        limits = {"bedrock": {"budget_limit": budget, "time_period": "1d"}}
        router = Router(model_list=models, provider_budget_config=limits)
    else:
        litellm.max_budget = budget
    passed = 0
    try:
        for _ in range(calls):
            await _request(kind, router)
            passed += 1
            await asyncio.sleep(_PAUSE_SECONDS)
    except (ValueError, litellm.BudgetExceededError):
        pass  # the budget is spent
    if budget_of == "provider":
        counted = await router.router_budget_logger._get_current_provider_spend("bedrock")  # noqa: SLF001 - not public
    else:
        counted = litellm._current_cost  # noqa: SLF001 - not public
    print(
        json.dumps({"passed": passed, "cost": cost * passed, "budget": budget, "counted": counted or 0.0}), flush=True
    )


async def _request(kind: str, router: Router) -> Any:
    if kind == "embedding":
        return await router.aembedding(model="model", input=["text"])
    return await router.acompletion(model="model", messages=[{"role": "user", "content": "text"}])


if __name__ == "__main__":
    asyncio.run(main())
