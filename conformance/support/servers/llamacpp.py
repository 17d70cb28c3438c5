"""llama.cpp's server as a program: `python -m support.servers.llamacpp FILE KEY BATCH`.

The wheel xllamacpp holds the server as a library. What is set here is what `llama-server --reranking
--api-key KEY --ubatch-size BATCH --port 0 --threads 1` sets.
"""

import sys
import threading

from xllamacpp import CommonParams, Server, llama_pooling_type


def main() -> None:
    file, key, batch = sys.argv[1:]
    params = CommonParams()
    params.model.path = file
    params.embedding = True
    params.pooling_type = llama_pooling_type.LLAMA_POOLING_TYPE_RANK
    params.api_keys = [key]
    params.n_ubatch = int(batch)
    params.port = 0
    # Its threads wait for each other by spinning, which on a busy machine costs more than it brings.
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    # It says by itself where it listens, once the model is there.
    _server = Server(params)
    threading.Event().wait()


if __name__ == "__main__":
    main()
