"""llama_index MixedbreadAIRerank: the Mixedbread SDK, pointed elsewhere by its environment variable."""

import os
from unittest import mock

from llama_index.postprocessor.mixedbreadai_rerank import MixedbreadAIRerank

from support.contract import AnyModelName, Ask, Client, Ranks, Refusals, SendsKey, TopN, WaitsOutRateLimits
from support.llama_index import most, postprocess
from support.mixedbread import ERRORS
from support.scores import Hit
from support.stage import Site


class LlamaIndexMixedbread(Client):
    errors = ERRORS

    def rank(self, site: Site, ask: Ask) -> list[Hit]:
        with mock.patch.dict(os.environ, {"MIXEDBREAD_BASE_URL": site.url}):
            reranker = MixedbreadAIRerank(
                api_key=site.key, model=ask.model, top_n=most(ask), max_retries=2 if ask.retries else 0
            )
        return postprocess(reranker, ask)


class TestMixedbreadAIRerank(Ranks, SendsKey, AnyModelName, TopN, Refusals, WaitsOutRateLimits):
    client = LlamaIndexMixedbread()
