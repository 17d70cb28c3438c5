"""Writes corpus.parquet, qa.parquet and two more tables of queries in AutoRAG's schema, as AutoRAG itself does: pandas and pyarrow, Snappy.

python3 -m venv v && v/bin/pip install pandas pyarrow && v/bin/python make.py
"""

from datetime import datetime

import pandas as pd

PASSAGES = {
    "newjeans-1": "New Jeans is a girl group of five members from South Korea.",
    "newjeans-2": "The five members of New Jeans made their debut in July 2022.",
    "aespa-1": "Aespa has four members: Karina, Giselle, Winter and Ningning.",
    "aespa-2": "Aespa released the song Supernova in May 2024.",
    "seoul": "서울은 대한민국의 수도이다.",
    "busan": "부산은 대한민국에서 두 번째로 큰 도시이다.",
}

QUERIES = [
    # One of each list is needed.
    ("q-members", "Which girl group has more members, New Jeans or Aespa?", [["newjeans-1", "newjeans-2"], ["aespa-1"]], "music"),
    ("q-capital", "대한민국의 수도는 어디인가?", [["seoul"]], "geography"),
    ("q-nothing", "Who founded the library of Alexandria?", [[]], "history"),
]

# A plain list needs every one of its passages; an id stands for itself.
PLAIN = [("q-both", "Which cities are in Korea?", ["seoul", "busan"]), ("q-nothing", "Who?", [""])]
SINGLE = [("q-one", "두 번째로 큰 도시는 어디인가?", "busan")]


def metadata(at: int) -> dict:
    times = {"last_modified_datetime": datetime(2024, 12, 1)}
    return times | {"path": f"page-{at}.md", "prev_id": None, "next_id": None}


corpus = pd.DataFrame(
    [
        {"doc_id": id, "contents": text, "path": f"page-{at}.md", "start_end_idx": (0, len(text)), "metadata": metadata(at)}
        for at, (id, text) in enumerate(PASSAGES.items())
    ]
)
qa = pd.DataFrame(
    [
        {"qid": id, "query": text, "retrieval_gt": groups, "generation_gt": ["an answer", "another"], "domain": domain}
        for id, text, groups, domain in QUERIES
    ]
)
corpus.to_parquet("corpus.parquet", index=False)
qa.to_parquet("qa.parquet", index=False)
for name, queries in [("qa_plain", PLAIN), ("qa_single", SINGLE)]:
    table = pd.DataFrame([{"qid": id, "query": text, "retrieval_gt": relevant} for id, text, relevant in queries])
    table.to_parquet(f"{name}.parquet", index=False)
