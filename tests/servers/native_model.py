"""llama.cpp's own server with the weights of the extra `local`: `python -m tests.servers.native_model [embed]`.

It prints its address, serves chat, responses, messages and embeddings as llama.cpp speaks them, and ends with its input.
"""

import sys

from perdure.adapters.local_model_weights import weights


def main(way: str) -> None:
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(weights())
    parameters.n_ctx = 1_024
    parameters.n_parallel = 1
    parameters.cpuparams.n_threads = 1
    parameters.use_jinja = True
    parameters.warmup = False
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.embedding = way == "embed"
    if way == "embed":
        parameters.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    server = xllamacpp.Server(parameters)
    sys.stdout.write(server.listening_address + "\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
