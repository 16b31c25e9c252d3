"""Talks to gateways as their users' programs do: python check_clients.py SESSIONS

SESSIONS is a JSON file: a list of sessions, each with the dialect of its endpoint, its base URLs and its key. The endpoint
asks for two tools at once and, given their results, says what came of them. Prints what was checked; exits with 1 at the
first thing that is wrong.
"""

import json
import sys
from pathlib import Path

import anthropic
import openai

SAID = "I look around: é 😀."
DONE = "There are two files."
COMMANDS = ["ls -la", "pwd"]
SCHEMA = {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]}


class Wrong(Exception):
    """What is wrong with a gateway."""


def require_equal(found, expected, what):
    if found != expected:
        raise Wrong(f"{what}: found {found!r}, expected {expected!r}")


def require(condition, what):
    if not condition:
        raise Wrong(what)


def chat(client, stream):
    """Two turns of chat completions with parallel tools."""
    tools = [{"type": "function", "function": {"name": "bash", "description": "Runs.", "parameters": SCHEMA}}]
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Look around."}]

    def turn():
        asked = {"model": "m", "messages": messages, "tools": tools, "max_tokens": 200}
        if not stream:
            return client.chat.completions.create(**asked)
        with client.chat.completions.stream(**asked, stream_options={"include_usage": True}) as events:
            for _ in events:
                pass
            return events.get_final_completion()

    first = turn()
    message = first.choices[0].message
    require_equal(message.content, SAID, "text")
    require_equal(first.choices[0].finish_reason, "tool_calls", "finish_reason")
    calls = message.tool_calls
    require_equal([json.loads(call.function.arguments)["command"] for call in calls], COMMANDS, "arguments")
    require(first.usage.prompt_tokens > 0 and first.usage.completion_tokens > 0, "there is no usage")
    messages.append({"role": "assistant", "content": message.content, "tool_calls": [
        {"id": call.id, "type": "function", "function": {"name": call.function.name, "arguments": call.function.arguments}}
        for call in calls
    ]})
    messages.extend({"role": "tool", "tool_call_id": call.id, "content": "a.txt b.txt"} for call in calls)
    second = turn()
    require_equal(second.choices[0].message.content, DONE, "second text")
    require_equal(second.choices[0].finish_reason, "stop", "second finish_reason")


def responses(client, stream):
    """Two turns of responses with parallel tools."""
    tools = [{"type": "function", "name": "bash", "description": "Runs.", "parameters": SCHEMA}]
    items = [{"role": "user", "content": "Look around."}]

    def turn():
        asked = {"model": "m", "input": items, "instructions": "Be brief.", "tools": tools, "max_output_tokens": 200}
        if not stream:
            return client.responses.create(**asked)
        pieces = []
        with client.responses.stream(**asked) as events:
            for event in events:
                if event.type == "response.output_text.delta":
                    pieces.append(event.delta)
            final = events.get_final_response()
        require_equal("".join(pieces), final.output_text, "pieces of the text")
        return final

    first = turn()
    require_equal(first.status, "completed", "status")
    require_equal(first.output_text, SAID, "text")
    calls = [item for item in first.output if item.type == "function_call"]
    require_equal([json.loads(call.arguments)["command"] for call in calls], COMMANDS, "arguments")
    require(first.usage.input_tokens > 0 and first.usage.output_tokens > 0, "there is no usage")
    items.extend(item.model_dump(exclude_none=True) for item in first.output)
    items.extend({"type": "function_call_output", "call_id": call.call_id, "output": "a.txt b.txt"} for call in calls)
    require_equal(turn().output_text, DONE, "second text")


def messages(client, stream):
    """Two turns of messages with parallel tools."""
    tools = [{"name": "bash", "description": "Runs.", "input_schema": SCHEMA}]
    turns = [{"role": "user", "content": "Look around."}]

    def turn():
        asked = {"model": "m", "messages": turns, "system": "Be brief.", "tools": tools, "max_tokens": 200}
        if not stream:
            return client.messages.create(**asked)
        with client.messages.stream(**asked) as events:
            pieces = "".join(events.text_stream)
            final = events.get_final_message()
        require_equal(pieces, "".join(block.text for block in final.content if block.type == "text"), "pieces of the text")
        return final

    first = turn()
    require_equal(first.stop_reason, "tool_use", "stop_reason")
    require_equal([block.text for block in first.content if block.type == "text"], [SAID], "text")
    calls = [block for block in first.content if block.type == "tool_use"]
    require_equal([call.input["command"] for call in calls], COMMANDS, "input")
    require(first.usage.output_tokens > 0, "there is no usage")
    turns.append({"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in first.content]})
    turns.append({"role": "user", "content": [
        {"type": "tool_result", "tool_use_id": call.id, "content": "a.txt b.txt"} for call in calls
    ]})
    second = turn()
    require_equal([block.text for block in second.content], [DONE], "second text")
    require_equal(second.stop_reason, "end_turn", "second stop_reason")


def refusals(session):
    """Errors arrive as each package's own exceptions."""
    hello = [{"role": "user", "content": "hello"}]
    for key, model, of_openai, of_anthropic in [
        ("sk-wrong", "m", openai.AuthenticationError, anthropic.AuthenticationError),
        (session["key"], "gpt-0", openai.NotFoundError, anthropic.NotFoundError),
    ]:
        for call, expected in [
            (lambda: openai.OpenAI(base_url=session["base_url"], api_key=key)
                .chat.completions.create(model=model, messages=hello), of_openai),
            (lambda: openai.OpenAI(base_url=session["base_url"], api_key=key)
                .responses.create(model=model, input="hello"), of_openai),
            (lambda: anthropic.Anthropic(base_url=session["anthropic_base_url"], api_key=key)
                .messages.create(model=model, messages=hello, max_tokens=9), of_anthropic),
        ]:
            try:
                call()
            except expected as error:
                require(error.body and "message" in json.dumps(error.body), f"{expected.__name__} has no message")
            else:
                raise Wrong(f"{expected.__name__} was not raised")


def check(session):
    of_openai = openai.OpenAI(base_url=session["base_url"], api_key=session["key"], max_retries=0)
    of_anthropic = anthropic.Anthropic(base_url=session["anthropic_base_url"], api_key=session["key"], max_retries=0)
    require_equal([model.id for model in of_openai.models.list()], ["m"], "openai's models")
    require_equal([model.id for model in of_anthropic.models.list()], ["m"], "anthropic's models")
    counted = of_anthropic.messages.count_tokens(model="m", messages=[{"role": "user", "content": "hello"}])
    require(counted.input_tokens > 0, "no tokens are counted")
    for stream in (False, True):
        for talk, client in ((chat, of_openai), (responses, of_openai), (messages, of_anthropic)):
            try:
                talk(client, stream)
            except Exception as problem:
                how = "streamed" if stream else "whole"
                raise Wrong(f"{talk.__name__}, {how}, from {session['dialect']}: {problem!r}") from problem
    refusals(session)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sessions = json.loads(Path(sys.argv[1]).read_text())
    try:
        for session in sessions:
            check(session)
    except Wrong as problem:
        sys.exit(f"{problem}")
    print(f"openai {openai.__version__} and anthropic {anthropic.__version__} work with {len(sessions)} gateways")


if __name__ == "__main__":
    main()
