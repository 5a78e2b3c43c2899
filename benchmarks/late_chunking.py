"""Retrieval of sentences with pronouns, by late chunking and contextual prefixes.

There are 40 synthetic documents of four sentences. The first sentence names the subject; the others refer to it as
"it", "she" or "he". Ten documents of each kind have similar sentences, so a single sentence does not identify its
document. Questions name the subject: the answer to "When was Dunmere founded?" is "It was founded in 1187 by monks."
Each sentence is a chunk. The figures are how often the answer is the first hit, and the mean reciprocal rank.

    python benchmarks/late_chunking.py
"""

from typing import TYPE_CHECKING

import click
import numpy as np

from embedstack.documents import Chunker, Document, Section
from embedstack.documents.embedding import ChunkEmbedding, SeparateEmbedding
from embedstack.documents.late_chunking import LateEmbedding
from embedstack.documents.load import find_tokenizer
from embedstack.embedders import LocalEmbedder
from embedstack.models.catalogue import known_model
from embedstack.models.resolution import resolve_model
from embedstack.settings.settings import load_settings

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CHUNK_TOKENS = 64

# A sentence template, the question that it answers, and the words for its two placeholders.
Fact = tuple[str, str, list[str], list[str]]

# Each list of words has one entry for every name.
KINDS: dict[str, tuple[list[str], str, list[Fact]]] = {
    "town": (
        ["Dunmere", "Halvorsund", "Castelrosso", "Brightwater", "Nagyfalu", "Ostrava Bay", "Port Elwyn", "Kirkholm",
         "Santa Brisa", "Zelenograd Hill"],
        "{name} is a small town that few travellers visit.",
        [
            ("It was founded in {a} by {b}.", "When was {name} founded?",
             ["1187", "1204", "1311", "1423", "1502", "1598", "1644", "1710", "1783", "1846"],
             ["monks", "fishermen", "salt merchants", "miners", "soldiers", "weavers", "exiles", "shipwrights",
              "farmers", "railway workers"]),
            ("Today about {a} people live there, most of them {b}.", "How many people live in {name}?",
             ["900", "2,300", "4,100", "7,500", "9,800", "12,000", "15,400", "21,000", "33,000", "48,000"],
             ["pensioners", "students", "teachers", "commuters", "shepherds", "painters", "sailors", "nurses",
              "brewers", "engineers"]),
            ("Its only bridge, made of {a}, crosses a {b}.", "What is the bridge of {name} made of?",
             ["oak", "granite", "iron", "brick", "steel", "concrete", "rope", "marble", "copper", "bamboo"],
             ["gorge", "canal", "lake", "swamp", "creek", "railway", "moat", "river", "valley", "road"]),
        ],
    ),
    "scientist": (
        ["Ilse Brandt", "Maria Okafor", "Yuki Tanabe", "Leonor Duarte", "Anna Lindqvist", "Priya Raman", "Zofia Nowak",
         "Clara Whitfield", "Nadia Haddad", "Helen Mackay"],
        "{name} taught at a university for thirty years.",
        [
            ("She discovered a new kind of {a} while she studied {b}.", "What did {name} discover?",
             ["moss", "beetle", "crystal", "comet", "enzyme", "bacterium", "fern", "mineral", "galaxy", "virus"],
             ["caves", "deserts", "volcanoes", "old maps", "milk", "hot springs", "islands", "meteorites", "the sky",
              "bats"]),
            ("As a child she wanted to become a {a}, like her {b}.", "What did {name} want to become as a child?",
             ["pilot", "baker", "violinist", "judge", "diver", "dancer", "carpenter", "painter", "jockey", "printer"],
             ["uncle", "mother", "aunt", "father", "sister", "cousin", "grandfather", "brother", "neighbour",
              "grandmother"]),
            ("Her prize money went to a {a} in {b}.", "Where did the prize money of {name} go?",
             ["hospital", "library", "theatre", "zoo", "shelter", "school", "museum", "choir", "garden", "lighthouse"],
             ["Lisbon", "Lagos", "Osaka", "Porto", "Uppsala", "Chennai", "Krakow", "Leeds", "Amman", "Oban"]),
        ],
    ),
    "ship": (
        ["the Albatross", "the Meridian", "the Grey Heron", "the Fortuna", "the Northern Star", "the Calypso",
         "the Marigold", "the Tempest", "the Old Lantern", "the Swallow"],
        "The harbour museum owns {name}, an old sailing ship.",
        [
            ("It sank in {a} after it had struck {b}.", "When did {name} sink?",
             ["1702", "1733", "1761", "1788", "1809", "1835", "1851", "1872", "1890", "1911"],
             ["a reef", "an iceberg", "a mine", "a whale", "a sandbank", "a wreck", "a pier", "a cliff", "a buoy",
              "another ship"]),
            ("Its cargo was {a} and a little {b}.", "What was the cargo of {name}?",
             ["tea", "timber", "wool", "coffee", "salt", "coal", "sugar", "cotton", "wine", "tobacco"],
             ["silver", "pepper", "glass", "paper", "silk", "tin", "ivory", "cork", "amber", "indigo"]),
            ("Divers found it near {a}, at a depth of {b} metres.", "Where was {name} found by divers?",
             ["Malta", "Skye", "Crete", "Madeira", "Bornholm", "Corsica", "Jersey", "Tenerife", "Gotland", "Sardinia"],
             ["12", "18", "25", "31", "38", "44", "52", "63", "71", "85"]),
        ],
    ),
    "painter": (
        ["Jakob Stern", "Luis Ferrer", "Anton Veres", "Pietro Salvi", "Henrik Dahl", "Omar Nasser", "Jan de Witt",
         "Tomas Hruby", "Peter Collins", "Aleksi Virtanen"],
        "{name} was a painter who sold little in his lifetime.",
        [
            ("He learned his craft from a {a} in {b}.", "Who taught {name} to paint?",
             ["monk", "goldsmith", "sign writer", "widow", "sculptor", "soldier", "bookbinder", "potter", "priest",
              "carpenter"],
             ["Vienna", "Seville", "Budapest", "Siena", "Bergen", "Cairo", "Delft", "Brno", "Bath", "Turku"]),
            ("He mostly painted {a}, and always in {b}.", "What did {name} mostly paint?",
             ["horses", "storms", "kitchens", "ruins", "fjords", "markets", "tulips", "trains", "children", "birches"],
             ["the morning", "winter", "blue", "silence", "his attic", "the open", "a hurry", "red", "pairs", "oil"]),
            ("He died of {a} when he was {b}.", "What did {name} die of?",
             ["cholera", "a fall", "pneumonia", "poison", "hunger", "a fever", "the plague", "a duel", "old age",
              "a stroke"],
             ["29", "34", "38", "41", "47", "53", "58", "62", "88", "71"]),
        ],
    ),
}  # fmt: skip


def documents() -> tuple[list[Document], list[tuple[str, str]]]:
    """The documents, and for each question its words and the sentence that answers it."""
    made: list[Document] = []
    questions: list[tuple[str, str]] = []
    for kind, (names, opening, facts) in KINDS.items():
        for index, name in enumerate(names):
            sentences = [opening.format(name=name)]
            for pattern, question, first, second in facts:
                sentences.append(pattern.format(a=first[index], b=second[index]))
                questions.append((question.format(name=name), sentences[-1]))
            sentences[0] = sentences[0][0].upper() + sentences[0][1:]
            title = name.removeprefix("the ")
            # Chunks do not cross section boundaries.
            sections = tuple(Section(sentence, (title,)) for sentence in sentences)
            made.append(Document(f"{kind}s/{title}.txt", "text/plain", sections))
    return made, questions


def ranks(
    embedder: LocalEmbedder, chunker: Chunker, late: bool, made: list[Document], questions: list[tuple[str, str]]
) -> "tuple[NDArray[np.int64], int]":
    """The rank of each question's answer among the hits, from 1, and the number of chunks."""
    embedding: ChunkEmbedding = LateEmbedding(embedder, chunker) if late else SeparateEmbedding(embedder)
    texts: list[str] = []
    vectors = []
    for document in made:
        for passage, rows in embedding.embed(embedding.passages(chunker.chunks(document))):
            texts += [chunk.text for chunk in passage.chunks]
            vectors.append(rows)
    scores = np.stack([embedder.embed_query(question) for question, _ in questions]) @ np.concatenate(vectors).T
    answers = [texts.index(answer) for _, answer in questions]
    return np.array([1 + (row > row[answer]).sum() for row, answer in zip(scores, answers, strict=True)]), len(texts)


@click.command(help=__doc__)
@click.option("--model", default="sentence-transformers/all-MiniLM-L6-v2", show_default=True)
def main(model: str) -> None:
    settings = load_settings(embedding_model=model)
    tokenizer = find_tokenizer(settings, resolve_model(settings))
    made, questions = documents()
    ways = {
        "sentence alone": ("", False),
        "late chunking": ("", True),
        "prefix {headings}: ": ("{headings}: ", False),
        "prefix {source}: ": ("{source}: ", False),
    }
    with LocalEmbedder(known_model(model), settings=settings) as embedder:
        for name, (prefix, late) in ways.items():
            chunker = Chunker(tokenizer, _CHUNK_TOKENS, prefix=prefix)
            positions, chunks = ranks(embedder, chunker, late, made, questions)
            print(
                f"{name:22} {len(questions)} questions, {chunks} chunks: "
                f"first hit {100 * (positions == 1).mean():.0f} %, MRR {(1 / positions).mean():.2f}"
            )


if __name__ == "__main__":
    main()
