# Introspection: models, health, version, request ids.
import pytest
from openai import NotFoundError

import raw_http


def test_lists_its_model(client, model):
    models = client.models.list()
    assert models.object == "list"
    assert [m.id for m in models.data] == [model]
    assert models.data[0].object == "model"
    assert models.data[0].created > 0 and models.data[0].owned_by


def test_says_how_long_a_sequence_may_be(positions_max):
    assert isinstance(positions_max, int) and positions_max >= 64


def test_retrieves_one_model(client, model):
    assert client.models.retrieve(model).id == model


def test_does_not_find_another_model(client):
    with pytest.raises(NotFoundError) as caught:
        client.models.retrieve("nobody")
    assert caught.value.code == "model_not_found"


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready"])
def test_is_healthy(url, path):
    assert raw_http.get(url, path).status == 200


def test_tells_its_version(url):
    assert raw_http.get(url, "/version").json()["version"]


@pytest.mark.parametrize("path", ["/v1/models", "/health", "/v1/nothing"])
def test_echoes_the_request_id(url, path):
    answer = raw_http.get(url, path, headers={"X-Request-Id": "abc-123"})
    assert answer.headers["x-request-id"] == "abc-123"


def test_echoes_the_request_id_of_a_stream(url, model):
    body = {"model": model, "prompt": "Once", "max_tokens": 2, "stream": True}
    answer = raw_http.post(url, "/v1/completions", body, headers={"X-Request-Id": "stream-7"})
    assert answer.headers["x-request-id"] == "stream-7"


def test_invents_a_request_id(url):
    first, second = (raw_http.get(url, "/v1/models").headers["x-request-id"] for _ in range(2))
    assert first and second and first != second


def test_serves_several_requests_on_one_connection(url):
    link = raw_http.connect(url)
    statuses = [raw_http.get(url, path, connection=link).status for path in ("/health", "/v1/models", "/v1/nope", "/health")]
    link.close()
    assert statuses == [200, 200, 404, 200]
