"""How LlamaIndex's users see nodes; for the suite that has LlamaIndex installed."""

from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore, TextNode

from support.contract import Ask
from support.scores import Hit


def postprocess(reranker: BaseNodePostprocessor, ask: Ask) -> list[Hit]:
    """What a query engine does. The index travels as the node's id."""
    nodes = [NodeWithScore(node=TextNode(text=passage, id_=str(i))) for i, passage in enumerate(ask.passages)]
    ranked = reranker.postprocess_nodes(nodes, query_str=ask.query)
    return [Hit(int(node.node_id), node.score) for node in ranked]


def most(ask: Ask) -> int:
    """These rerankers always cut; this is how their users say "all of them"."""
    return len(ask.passages) if ask.top_n is None else ask.top_n
