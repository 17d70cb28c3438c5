"""Other people's rerank servers, with a model that really ranks, behind a rerankd."""
