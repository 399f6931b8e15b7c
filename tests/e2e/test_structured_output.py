# Answers of a given form, with the official client.
import json
import re

import openai
import pytest

PERSON = {"type": "object", "additionalProperties": False, "required": ["name", "age"],
          "properties": {"name": {"type": "string", "maxLength": 12}, "age": {"type": "integer", "minimum": 0, "maximum": 120}}}
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {
    "type": "object", "additionalProperties": False, "required": ["city"],
    "properties": {"city": {"enum": ["Berlin", "Paris"]}}}}}


def is_person(text):
    person = json.loads(text)
    return set(person) == {"name", "age"} and len(person["name"]) <= 12 and 0 <= person["age"] <= 120


@pytest.mark.parametrize("seed", range(4))
def test_keeps_to_a_schema(chat, seed):
    answer = chat(seed=seed, temperature=1.2, max_tokens=200, n=2, response_format={
        "type": "json_schema", "json_schema": {"name": "person", "schema": PERSON, "strict": True}})
    finished = [c for c in answer.choices if c.finish_reason == "stop"]
    assert finished and all(is_person(c.message.content) for c in finished)


def test_streams_what_it_answers_whole(chat):
    how = {"seed": 3, "max_tokens": 200, "extra_body": {"guided_json": PERSON}}
    whole = chat(**how).choices[0].message.content
    assert "".join(c.choices[0].delta.content or "" for c in chat(stream=True, **how)) == whole


def test_keeps_to_patterns_choices_and_grammars(complete):
    def text(**form):
        return complete("It was ", temperature=1.0, seed=5, max_tokens=60, extra_body=form).choices[0].text

    assert re.fullmatch(r"[0-9]{4}-[01][0-9]", text(guided_regex="[0-9]{4}-[01][0-9]"))
    assert text(guided_choice=["good", "bad"]) in ("good", "bad")
    assert re.fullmatch(r"(ab){1,2}c", text(guided_grammar='root ::= pair pair? "c"\npair ::= "ab"'))


def test_calls_the_tool_that_it_must(chat):
    answer = chat("Weather in Paris?", seed=1, max_tokens=200, tools=[WEATHER],
                  tool_choice={"type": "function", "function": {"name": "weather"}})
    call = answer.choices[0].message.tool_calls[0]
    assert answer.choices[0].finish_reason in ("stop", "tool_calls") and call.function.name == "weather"
    assert json.loads(call.function.arguments)["city"] in ("Berlin", "Paris")


@pytest.mark.parametrize("form, field", [({"guided_regex": "[0-9"}, "guided_regex"), ({"guided_json": {"type": "colour"}}, "guided_json"),
                                         ({"guided_grammar": "root ::= missing"}, "guided_grammar"), ({"guided_choice": []}, "guided_choice")])
def test_says_what_is_wrong_with_a_form(complete, form, field):
    with pytest.raises(openai.BadRequestError) as refused:
        complete("x", max_tokens=4, extra_body=form)
    assert refused.value.param == field and refused.value.body["message"]
