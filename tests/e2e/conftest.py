# Fixtures of the end to end tests: one server for all of them, its model and the official client.
import os
import resource

import pytest
from openai import OpenAI
from prometheus_client.parser import text_string_to_metric_families

import raw_http
from troupe_server import remote_server, troupe_server


def raise_file_limit():
    """A thousand connections need descriptors here and in the server, which inherits the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 8192 if hard == resource.RLIM_INFINITY else min(8192, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@pytest.fixture(scope="session")
def server():
    raise_file_limit()
    if url := os.environ.get("TROUPE_URL"):
        yield remote_server(url)
        return
    with troupe_server() as running:
        yield running
        assert running.alive(), f"the server died:\n{running.read_tail()}"


@pytest.fixture(scope="session")
def start_server():
    """For tests that need a server with flags of their own."""
    if "TROUPE_PROGRAM" not in os.environ:
        pytest.skip("needs TROUPE_PROGRAM to start a second server")
    return troupe_server


@pytest.fixture(scope="session")
def url(server):
    return server.url


@pytest.fixture(scope="session")
def client(url):
    with make_client(url) as made:
        yield made


def make_client(url, key="unused", **options):
    return OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=120, **options)


@pytest.fixture(scope="session")
def model_card(url):
    return raw_http.get(url, "/v1/models").json()["data"][0]


@pytest.fixture(scope="session")
def model(model_card):
    return model_card["id"]


@pytest.fixture(scope="session")
def positions_max(model_card):
    return model_card["max_model_len"]


@pytest.fixture(scope="session")
def chat(client, model):
    """Calls chat completions; skips when the model has no chat template."""
    answer = raw_http.post(str(client.base_url).split("/v1")[0], "/v1/chat/completions",
                           {"model": model, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1})
    if answer.status == 400 and "template" in answer.json()["error"]["message"]:
        pytest.skip("the model has no chat template")

    def call(text="Tell me a story.", **options):
        messages = options.pop("messages", [{"role": "user", "content": text}])
        return client.chat.completions.create(model=model, messages=messages, **options)

    return call


@pytest.fixture(scope="session")
def complete(client, model):
    def call(prompt="Once upon a time", **options):
        return client.completions.create(model=model, prompt=prompt, **options)

    return call


@pytest.fixture(scope="session")
def tokenize(url, model):
    """The tokens of a text as a completion's prompt has them."""
    return lambda text: raw_http.post(url, "/tokenize", {"model": model, "prompt": text}).json()["tokens"]


@pytest.fixture(scope="session")
def metrics(url):
    """Reads /metrics: {sample name: sum over its labels}."""

    def read():
        sums = {}
        for family in text_string_to_metric_families(raw_http.get(url, "/metrics").body.decode()):
            for sample in family.samples:
                sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
        return sums

    return read


@pytest.fixture
def long_request(model, positions_max):
    """A body that keeps the server busy for as long as its context allows."""
    return {"model": model, "prompt": "Once", "max_tokens": positions_max - 32, "ignore_eos": True, "temperature": 0.8}
