"""Generated questions with judged texts: who sold, lent, gave or sent what to whom.

A text states one fact, in the active or the passive voice, from the side of the giver or of the receiver. A text is
relevant if it states a fact that answers the question. Other texts share most of the words, with another person, object
or verb, or with swapped roles.
"""

import random
from dataclasses import dataclass

__all__ = ["JudgedSet", "judged_set"]

# The giver's verb, the receiver's verb, their base forms, and the participle.
_RELATIONS = (
    ("sold", "bought", "sell", "buy", "sold"),
    ("lent", "borrowed", "lend", "borrow", "lent"),
    ("gave", "received", "give", "receive", "given"),
    ("sent", "got", "send", "get", "sent"),
)
_PEOPLE = ("Maria", "Omar", "Ingrid", "Tom", "Yuki", "Pedro", "Fatima", "Ivan", "Grace", "Liam")
_OBJECTS = ("a boat", "a piano", "a ladder", "a painting", "a tractor", "a camera", "a tent", "a necklace")


@dataclass(frozen=True, slots=True)
class _Fact:
    """``giver`` gave ``item`` to ``receiver`` in the way of a relation."""

    relation: int
    giver: str
    item: str
    receiver: str

    def texts(self) -> list[str]:
        """The fact in three forms."""
        gave, received, _, _, given = _RELATIONS[self.relation]
        item = f"{self.item[0].upper()}{self.item[1:]}"
        return [
            f"{self.giver} {gave} {self.item} to {self.receiver}.",
            f"{self.receiver} {received} {self.item} from {self.giver}.",
            f"{item} was {given} to {self.receiver} by {self.giver}.",
        ]

    def questions(self) -> list[tuple[str, "_Fact"]]:
        """Questions that the fact answers, each with the fact in which the answer is left out."""
        gave, received, give, receive, _ = _RELATIONS[self.relation]
        return [
            (f"Who {gave} {self.item} to {self.receiver}?", _Fact(self.relation, "", self.item, self.receiver)),
            (f"Who {received} {self.item} from {self.giver}?", _Fact(self.relation, self.giver, self.item, "")),
            (f"What did {self.giver} {give} to {self.receiver}?", _Fact(self.relation, self.giver, "", self.receiver)),
            (f"What did {self.receiver} {receive} from {self.giver}?",
             _Fact(self.relation, self.giver, "", self.receiver)),
        ]  # fmt: skip

    def answers(self, question: "_Fact") -> bool:
        """Whether this fact answers a question."""
        pairs = ((self.giver, question.giver), (self.item, question.item), (self.receiver, question.receiver))
        return self.relation == question.relation and all(asked in ("", stated) for stated, asked in pairs)


@dataclass(frozen=True, slots=True)
class JudgedSet:
    """Texts, and questions with the positions and grades of their relevant texts."""

    texts: list[str]
    questions: list[tuple[str, dict[int, int]]]


def judged_set(*, facts: int = 600, questions: int = 200, seed: int = 0) -> JudgedSet:
    """Texts of random facts, two for each, and questions about them."""
    generator = random.Random(seed)  # noqa: S311 - reproducible, not secret
    stated = list({_random_fact(generator): None for _ in range(facts)})
    pairs = [(fact, text) for fact in stated for text in generator.sample(fact.texts(), 2)]
    asked = dict(generator.choice(fact.questions()) for fact in generator.sample(stated, questions))
    judged = [
        (question, {index: 1 for index, (fact, _) in enumerate(pairs) if fact.answers(pattern)})
        for question, pattern in asked.items()
    ]
    return JudgedSet([text for _, text in pairs], judged)


def _random_fact(generator: random.Random) -> _Fact:
    giver, receiver = generator.sample(_PEOPLE, 2)
    return _Fact(generator.randrange(len(_RELATIONS)), giver, generator.choice(_OBJECTS), receiver)
