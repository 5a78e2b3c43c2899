"""An async embedding service with contexts for code and documentation."""

import asyncio

import numpy as np

from embedstack import load_embedder

SNIPPETS = ["def add(a, b): return a + b", "SELECT name FROM users"]
PAGES = ["How to reset your password", "How to invite a colleague"]


async def main() -> None:
    """Embed code and pages, then find the page that answers a question."""
    with load_embedder() as embedder:
        code = await embedder.aembed_documents(SNIPPETS, context="code")
        pages = await embedder.aembed_documents(PAGES, context="docs")
        question = await embedder.aembed_query("I forgot my login", context="docs")
    print(f"{len(code)} snippets, {len(pages)} pages of {pages.shape[1]} dimensions")
    print(f"Found: {PAGES[int(np.argmax(pages @ question))]}")


if __name__ == "__main__":
    asyncio.run(main())
