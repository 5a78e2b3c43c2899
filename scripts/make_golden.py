"""Make the golden vectors with the reference implementation, sentence-transformers in float32.

Runs in the reference environment (extra ``embedstack[reference]``); ``make golden-vectors`` sets it up.
"""

import sys
from pathlib import Path

import click
import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from embedstack.models.golden import golden_file_name, golden_texts

FOLDER = Path(__file__).parents[1] / "src/embedstack/models/golden"


@click.command(epilog="Example: python scripts/make_golden.py sentence-transformers/all-MiniLM-L6-v2 --folder MODEL")
@click.argument("model_id")
@click.option("--folder", type=click.Path(exists=True, path_type=Path), help="Local folder with the model's weights.")
def main(model_id: str, folder: Path | None) -> None:
    """Write the golden vectors of MODEL_ID, a sentence-transformers model on the Hugging Face Hub."""
    torch.manual_seed(0)
    model = SentenceTransformer(str(folder or model_id), device="cpu").float()
    # One text at a time: without padding, a vector depends on its text alone.
    vectors = np.stack(
        [model.encode(text, normalize_embeddings=True, show_progress_bar=False) for text in golden_texts()]
    ).astype(np.float32)
    if not np.isfinite(vectors).all():
        sys.exit("The reference computed a non-finite vector; the model's weights are damaged.")
    target = FOLDER / golden_file_name(model_id)
    np.save(target, vectors, allow_pickle=False)
    click.echo(f"{target}: {vectors.shape[0]} vectors of {vectors.shape[1]} dimensions")


if __name__ == "__main__":
    main()
