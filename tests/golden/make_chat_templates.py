#!/usr/bin/env python3
"""Renders chat_templates/templates/*.jinja (the shapes of the model families) and small snippets of the language with the
Jinja environment of transformers, and stores texts and failures in chat_templates/golden.json.
Needs the packages of requirements.txt; nothing is downloaded."""

import datetime
import json
import pathlib

import jinja2
from transformers.utils import chat_template_utils

from chat_template_snippets import SNIPPETS, VARIABLES

FOLDER = pathlib.Path(__file__).parent / "chat_templates"
NOW = datetime.datetime(2026, 2, 3, 14, 5, 6, tzinfo=datetime.timezone.utc)
BOS, EOS = "<s>", "</s>"

WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "Weather of a city, in °C & more: <b>\"now\"</b>",
    "parameters": {"type": "object", "properties": {
        "city": {"type": "string", "description": "Name"}, "days": {"type": "integer", "enum": [1, 2.5, None, True]}},
        "required": ["city"]}}}
TIME = {"type": "function", "function": {"name": "get_time", "parameters": {}, "return": {"type": "string"}}}


def say(role, content, **more):
    return {"role": role, "content": content, **more}


def tool_call(name, arguments, id="abcdefgh1", **more):
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}, **more}


CONVERSATIONS = [
    {"messages": [say("user", "Hello!")]},
    {"messages": [say("system", "Be brief."), say("user", "Hi")]},
    {"messages": [say("system", "  Be\n kind. \n"), say("user", " a \n"), say("assistant", "  b "), say("user", "c\t")]},
    {"messages": [say("user", "1"), say("assistant", "2"), say("user", "3"), say("assistant", "4"), say("user", "5")]},
    {"messages": [say("user", "one"), say("user", "two")]},
    {"messages": [say("assistant", "first")]},
    {"messages": [say("user", "")]},
    {"messages": [say("system", ""), say("user", ""), say("assistant", "")]},
    {"messages": []},
    {"messages": [say("user", "Ünïcödé 日本語 👩🏻‍💻 e\u0301 \u00a0\u3000 \"quoted\" 'single' \\back\\ <tag> & {{ x }} {% y %}")]},
    {"messages": [say("user", "q"), say("assistant", "<think>\nlong thought\n</think>\n\nanswer"), say("user", "again")]},
    {"messages": [say("user", "q"), say("assistant", "<think>\nlong thought\n</think>\n\nanswer")]},
    {"messages": [say("user", "q"), say("assistant", "answer", reasoning_content="thought\n"), say("user", "more"),
                  say("assistant", "end", reasoning_content="\nlast\n")]},
    {"messages": [say("system", "s"), say("system", "second"), say("user", "u"), say("system", "third")]},
    {"messages": [say("critic", "strange role"), say("user", "x")]},
    {"messages": [say("user", "Weather?")], "tools": [WEATHER]},
    {"messages": [say("system", "Use tools."), say("user", "Weather?")], "tools": [WEATHER, TIME]},
    {"messages": [say("user", "Weather?"), say("assistant", None, tool_calls=[tool_call("get_weather", {"city": "Köln", "days": 2})]),
                  say("tool", "sunny", tool_call_id="abcdefgh1"), say("assistant", "It is sunny."), say("user", "Thanks")],
     "tools": [WEATHER]},
    {"messages": [say("user", "Weather?"), say("assistant", "", tool_calls=[
        tool_call("get_weather", {"city": "A\"B"}), tool_call("get_time", {}, "abcdefgh2")]),
        say("tool", "sunny", tool_call_id="abcdefgh1"), say("tool", "{\"t\": 12}", tool_call_id="abcdefgh2")], "tools": [WEATHER, TIME]},
    {"messages": [say("user", "Weather?"), say("assistant", None, tool_calls=[tool_call("get_weather", "{\"city\": \"X\"}")]),
                  say("tool", "rain", tool_call_id="abcdefgh1")]},
    {"messages": [say("user", "w"), say("assistant", "calling", tool_calls=[tool_call("f", {"a": [1, {"b": None}], "c": 1e-7}, "short")]),
                  say("tool", {"content": {"deep": 1}}, tool_call_id="short")]},
    {"messages": [say("user", "w")], "tools": []},
    {"messages": [say("user", "w")], "variables": {"enable_thinking": False}},
    {"messages": [say("user", "w")], "variables": {"enable_thinking": True, "date_string": "1 Jan 2000"}},
    {"messages": [say("user", "w"), say("assistant", "x", tool_calls=[tool_call("brave_search", {"query": "news"})]),
                  say("ipython", ["r1", 2])], "variables": {"builtin_tools": ["brave_search", "code_interpreter"]}},
    {"messages": [say("user", "w")], "tools": [WEATHER], "variables": {"tools_in_user_message": False}},
    {"messages": [{"role": "user"}]},
    {"messages": [say("user", [{"type": "text", "text": "part"}])]},
    {"messages": [say("user", "a" * 500 + "\n\n\n" + " " * 30)]},
]


def render(source, variables):
    """The text, or why there is none."""
    try:
        template = chat_template_utils._compile_jinja_template(source)
        return {"text": template.render(strftime_now=NOW.strftime, **variables)}
    except jinja2.exceptions.TemplateSyntaxError as error:
        return {"error": "syntax", "why": str(error)}
    except Exception as error:  # whatever Python raises inside a template
        raised = type(error) is jinja2.exceptions.TemplateError
        return {"error": "raised" if raised else "failed", "why": str(error)}


def main():
    golden = {"now_unix_s": int(NOW.timestamp()), "bos_token": BOS, "eos_token": EOS, "conversations": CONVERSATIONS,
              "templates": {}, "variables": VARIABLES, "snippets": []}
    for path in sorted((FOLDER / "templates").glob("*.jinja")):
        source = path.read_text(encoding="utf-8")
        rows = []
        for conversation in CONVERSATIONS:
            for prompt in (False, True):
                rows.append(render(source, {
                    "messages": conversation["messages"], "tools": conversation.get("tools"), "documents": None,
                    "add_generation_prompt": prompt, "bos_token": BOS, "eos_token": EOS, **conversation.get("variables", {})}))
        golden["templates"][path.stem] = rows
        print(path.stem, len(rows), sum("error" in row for row in rows), "errors")
    for source in SNIPPETS:
        golden["snippets"].append({"source": source, **render(source, VARIABLES)})
    print("snippets", len(SNIPPETS), sum("error" in row for row in golden["snippets"]), "errors")
    (FOLDER / "golden.json").write_text(json.dumps(golden, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
