"""Fine-tune all-MiniLM-L6-v2 as a cross-encoder on generated questions, for benchmarks/reranking.py.

    .venv-reference/bin/python benchmarks/train_reranker.py FOLDER    # the environment of `make test-compat`

Takes about ten minutes on two cores. The questions are those of benchmarks/judged_questions.py, about other persons and
objects than the ones that benchmarks/reranking.py asks about.
"""

import argparse
import itertools
from pathlib import Path

import torch
from judged_questions import training_pairs
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from embedstack.models.local_files import find_model_folder

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
MAX_TOKENS = 64
LEARNING_RATE = 2e-4


def train(folder: Path, steps: int, batch: int) -> None:
    torch.manual_seed(0)
    source = find_model_folder(MODEL, Path("models"))
    tokenizer = AutoTokenizer.from_pretrained(source)
    model = AutoModelForSequenceClassification.from_pretrained(source, num_labels=1)
    # Half of the parameters are those of words, most of which do not occur.
    model.base_model.embeddings.requires_grad_(requires_grad=False)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=LEARNING_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps, pct_start=0.1)
    pairs = training_pairs()
    model.train()
    for step in range(steps):
        questions, texts, relevances = zip(*itertools.islice(pairs, batch), strict=True)
        inputs = tokenizer(
            list(questions), list(texts), padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt"
        )
        logits = model(**inputs).logits[:, 0]
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, torch.tensor(relevances, dtype=torch.float))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 50 == 0 or step == steps - 1:
            print(f"step {step}: loss {loss.item():.3f}", flush=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where to write the model")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--batch", type=int, default=32)
    options = parser.parse_args()
    train(options.folder, options.steps, options.batch)
