"""Judged collections drawn from a seed, full of what real ones get wrong."""

import json
import random
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from support.contest import Table

WORDS = [
    "ash",
    "birch",
    "cedar",
    "elm",
    "fir",
    "hazel",
    "larch",
    "maple",
    "oak",
    "pine",
    "rowan",
    "willow",
    "물",
    "가을",
    "雨",
    "été",
]
#: Many equal ones, two that are equal in 32 bits alone, some that are no model's.
SCORES = [0.5, 0.5 + 1e-9, 0.5, 0.25, 0.25, 0.0, -0.0, 1.0, -3.0, 1e30, 1e-46, 12]
GRADES = [0, 0, 0, 1, 1, 2, 3]
#: In the judgments, but not in the corpus.
UNKNOWN = "gone"


@dataclass(frozen=True)
class Drawn:
    """What a folder was written from."""

    folder: Path
    passages: dict[str, str]
    judgments: Table
    #: Query to ids of its candidates, in first-stage order.
    candidates: dict[str, list[str]]

    def evaluated(self) -> list[str]:
        """The queries that are evaluated. Those without candidates are, too: they count 0."""
        return [query for query in self.candidates if self.judgments.get(query)]


def odd_id(kind: str, number: int) -> str:
    forms = [
        "{kind}{n}",
        "{n}",
        "00{n}",
        "{kind}-문서-{n}",
        "é{n}",
        "e\u0301{n}",
        "{kind}/%20:{n}",
        '"{n}"',
        "🦀{n}",
    ]
    forms += ["x" * 300 + "{n}", "{kind}_{n}", "-{n}", "#{n}"]
    return forms[number % len(forms)].format(kind=kind, n=number)


def draw_texts(chance: random.Random, count: int) -> dict[str, str]:
    """Passages by id. Some say the same, so that every model ties on them."""
    texts: list[str] = []
    for _ in range(count):
        again = texts and chance.random() < 0.3
        text = chance.choice(texts) if again else " ".join(chance.choices(WORDS, k=chance.randint(1, 12)))
        texts.append(text)
    return {odd_id("d", number): text for number, text in enumerate(texts)}


def draw_beir(folder: Path, seed: int, queries: int) -> Drawn:
    """A BEIR folder with a run of its own. Its first query has judgments and candidates."""
    chance = random.Random(seed)
    passages = draw_texts(chance, 150)
    ids = list(passages)
    judgments: Table = {}
    candidates: dict[str, list[str]] = {}
    lines: list[str] = []
    for number in range(queries):
        query = odd_id("q", number)
        found = chance.sample(ids, chance.choice([1, 2, 5, 20, 40]))
        if number and chance.random() < 0.05:
            found = []
        scores = {passage: chance.choice(SCORES) for passage in found}
        # Ties go by rank where there is one, else by line.
        ranks = dict(zip(found, chance.sample(range(1, 99), len(found)), strict=True))
        order = {passage: ranks[passage] if seed % 2 else line for line, passage in enumerate(found)}
        candidates[query] = sorted(found, key=lambda it: (-scores[it], order[it]))
        for passage in found:
            columns = [query, "Q0", passage, ranks[passage], scores[passage], "first"]
            lines.append("\t".join(map(str, columns if seed % 2 else [query, passage, scores[passage]])))
        judgments[query] = draw_judgments(chance, ids, found, number)
    folder.mkdir()
    (folder / "qrels").mkdir()
    _write_lines(folder / "corpus.jsonl", (_passage(id, text) for id, text in passages.items()))
    texts = {query: " ".join(chance.choices(WORDS, k=chance.randint(1, 4))) for query in candidates}
    _write_lines(folder / "queries.jsonl", (_dump({"_id": id, "text": text}) for id, text in texts.items()))
    grades = [
        f"{query}\t{it}\t{grade}" for query, judged in judgments.items() for it, grade in judged.items()
    ]
    chance.shuffle(grades)
    _write_lines(folder / "qrels" / "test.tsv", ["query-id\tcorpus-id\tscore", *grades])
    _write_lines(folder / "candidates.tsv", lines)
    return Drawn(folder, passages, judgments, candidates)


def draw_judgments(chance: random.Random, ids: list[str], found: list[str], number: int) -> dict[str, int]:
    """Grades for some candidates and for others; now and then nothing relevant, or nothing at all."""
    if number and chance.random() < 0.08:
        return {}
    judged = chance.sample(found, chance.randint(0, len(found))) + chance.sample(ids, chance.randint(1, 15))
    judgments = {passage: chance.choice(GRADES) for passage in judged}
    if number and chance.random() < 0.12:
        return dict.fromkeys(judgments, 0)
    if chance.random() < 0.15:
        judgments[UNKNOWN] = chance.choice(GRADES)
    return judgments


def draw_groups(path: Path, seed: int, queries: int) -> dict[str, list[list[str]]]:
    """A JSONL file of queries that need one passage out of each group; the groups by query."""
    chance = random.Random(seed)
    passages = draw_texts(chance, 60)
    wanted, lines = {}, []
    for number in range(queries):
        listed = chance.sample(list(passages), chance.randint(1, 30))
        # Groups may share passages, and hold some that are no candidates.
        pool = listed + chance.sample(list(passages), 5)
        sizes = [chance.randint(1, 4) for _ in range(chance.randint(1, 4))]
        groups = [chance.sample(pool, min(size, len(pool))) for size in sizes]
        # A group that is said twice counts once in a JSONL file.
        wanted[str(number)] = [group for at, group in enumerate(groups) if group not in groups[:at]]
        lines.append(
            _dump(
                {
                    "id": str(number),
                    "query": " ".join(chance.choices(WORDS, k=3)),
                    "passages": [{"id": id, "text": passages[id]} for id in listed],
                    "relevant": wanted[str(number)],
                }
            )
        )
    _write_lines(path, lines)
    return wanted


def _passage(id: str, text: str) -> str:
    # An id of digits may be a number.
    return _dump({"_id": int(id) if id.isascii() and id.isdigit() and id[0] != "0" else id, "text": text})


def _dump(value: dict) -> str:
    return json.dumps(value, ensure_ascii=False)


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines))
