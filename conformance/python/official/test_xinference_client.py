"""xinference_client.RESTfulClient: asks for authentication and model, then `POST /v1/rerank`."""

from xinference_client import RESTfulClient

from support.contract import Ask, Client, Echoes, EmptyList, Ranks, Refusals, SendsKey, TopN
from support.scores import Hit
from support.stage import Site


class Xinference(Client):
    # One class for everything. A wrong key and an unknown model are refused before anything is ranked.
    errors = dict.fromkeys([400, 401, 404, 413, 429, 502], RuntimeError)

    def rank(self, site: Site, ask: Ask) -> list[Hit]:
        model = RESTfulClient(site.url, api_key=site.key).get_model(ask.model)
        answer = model.rerank(ask.passages, ask.query, top_n=ask.top_n, return_documents=ask.echo or None)
        return [Hit(hit["index"], hit["relevance_score"], _text(hit)) for hit in answer["results"]]

    def status(self, error: RuntimeError) -> None:
        return None


def _text(hit: dict) -> str | None:
    return hit["document"]["text"] if "document" in hit else None


class TestXinference(Ranks, SendsKey, TopN, EmptyList, Echoes, Refusals):
    client = Xinference()
