"""Checks of a chat request: what Groq refuses, and the `Chat` made of the rest."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from proxy.simulator import messages, shape
from proxy.simulator.catalogue import GROQ, Catalogue, Kind, Model
from proxy.simulator.magic import is_magic
from proxy.simulator.problems import bad, decommissioned, model_not_found, too_long
from proxy.simulator.request import Chat, Form, Reasoning, Tool

MOST_TOOLS = 128

_PROPERTIES: dict[str, shape.Check] = {
    "messages": shape.anything,
    "model": shape.string,
    "citation_options": shape.one_of("enabled", "disabled"),
    "compound_custom": shape.mapping,
    "debug": shape.boolean,
    "disable_tool_validation": shape.boolean,
    "documents": shape.array,
    "exclude_domains": shape.array,
    "frequency_penalty": shape.number(-2, 2),
    "function_call": shape.anything,
    "functions": shape.array,
    "include_domains": shape.array,
    "include_reasoning": shape.boolean,
    "logit_bias": shape.anything,
    "logprobs": shape.anything,
    "max_completion_tokens": shape.integer(1),
    "max_tokens": shape.integer(1),
    "metadata": shape.mapping,
    "n": shape.integer(),
    "parallel_tool_calls": shape.boolean,
    "presence_penalty": shape.number(-2, 2),
    "reasoning_effort": shape.string,
    "reasoning_format": shape.one_of("hidden", "raw", "parsed"),
    "response_format": shape.mapping,
    "search_settings": shape.mapping,
    "seed": shape.integer(),
    "service_tier": shape.one_of("auto", "on_demand", "flex", "performance"),
    "stop": shape.stops,
    "store": shape.boolean,
    "stream": shape.boolean,
    "stream_options": shape.mapping,
    "temperature": shape.number(0, 2),
    "tool_choice": shape.anything,
    "tools": shape.array,
    "top_logprobs": shape.anything,
    "top_p": shape.number(0, 1),
    "user": shape.string,
}
_REFUSED = ("logprobs", "top_logprobs", "logit_bias")
_BUILT_IN_TOOLS = ("browser_search", "code_interpreter", "mcp")


@dataclass(frozen=True, slots=True)
class Rules:
    """Where providers differ on a request that is well formed."""

    models: Catalogue = GROQ
    json_with_tools: bool = False  # whether both may be asked for
    cuts: bool = False  # a prompt beyond the context window is cut, not refused


_GROQS = Rules()


def served(name: str, kind: Kind, models: Catalogue = GROQ) -> Model:
    """Give the model of this name that an endpoint of this kind can use."""
    model = models.stand_ins[kind] if is_magic(name) else models.find(name)
    if name in models.decommissioned:
        raise decommissioned(name)
    if model is None:
        raise model_not_found(name)
    fits = model.kind is kind or (kind is Kind.CHAT and model.kind is Kind.GUARD)
    if not fits:
        raise bad(f"The model `{name}` does not support {kind.value} requests.")
    return model


def chat(body: Mapping[str, Any], rules: Rules = _GROQS) -> Chat:
    """Give the request in a body, or raise what is wrong with it."""
    shape.fields(body, _PROPERTIES, ("model", "messages"))
    name = body["model"]
    model = served(name, Kind.CHAT, rules.models)
    for refused in _REFUSED:
        # `logprobs: false` asks for nothing.
        if body.get(refused) not in (None, False):
            raise bad(f"property '{refused}' is not supported with this model")
    if body.get("n") not in (None, 1):
        raise shape.wrong("n", "number must be at most 1")
    messages.check(body["messages"], model)
    tools = _tools(body)
    form, schema = _form(body, rules)
    choice = _tool_choice(body, tools)
    strict = form is not Form.TEXT or bool(tools)
    request = Chat(
        model=model,
        name=name,
        messages=tuple(body["messages"]),
        stream=bool(body.get("stream")),
        include_usage=_include_usage(body),
        max_tokens=_ceiling(body, model),
        stop=_stops(body.get("stop")),
        seed=body.get("seed"),
        tools=tools,
        tool_choice=choice,
        parallel=body.get("parallel_tool_calls") is not False,
        form=form,
        schema=schema,
        effort=_effort(body, model),
        reasoning=_reasoning(body, model, strict=strict),
        tier=_tier(body.get("service_tier")),
        tools_text=orjson.dumps(body["tools"]).decode() if body.get("tools") else "",
    )
    needed = request.prompt_tokens + (request.max_tokens or 0)
    if needed > model.context_window and not rules.cuts:
        raise too_long()
    return request


def _include_usage(body: Mapping[str, Any]) -> bool:
    options = body.get("stream_options")
    if options is None:
        return False
    shape.fields(options, {"include_usage": shape.boolean}, ())
    return options.get("include_usage") is True


def _ceiling(body: Mapping[str, Any], model: Model) -> int | None:
    for name in ("max_completion_tokens", "max_tokens"):
        asked = body.get(name)
        if asked is not None:
            if asked > model.max_completion_tokens:
                raise shape.wrong(
                    name,
                    f"must be less than or equal to `{model.max_completion_tokens}`, the maximum "
                    f"value for `{name}` is less than the `context_window` for this model",
                )
            return int(asked)
    return None


def _tier(asked: str | None) -> str:
    """`auto` and nothing mean on demand while its limits last, and here they are checked anyway."""
    return asked if asked in {"flex", "performance"} else "on_demand"


def _stops(value: Any) -> tuple[str, ...]:
    listed = [value] if isinstance(value, str) else value or []
    return tuple(stop for stop in listed if stop)


def _tools(body: Mapping[str, Any]) -> tuple[Tool, ...]:
    listed = body.get("tools") or []
    if len(listed) > MOST_TOOLS:
        raise shape.wrong("tools", f"maximum number of items is {MOST_TOOLS}")
    made = []
    for number, tool in enumerate(listed):
        path = f"tools.{number}"
        kind = tool.get("type") if isinstance(tool, dict) else None
        if isinstance(kind, str) and kind in _BUILT_IN_TOOLS:
            continue
        function = tool.get("function") if kind == "function" else None
        if not isinstance(function, dict):
            raise shape.wrong(path, "discriminator property 'type' has invalid value")
        if not isinstance(function.get("name"), str) or not function["name"]:
            raise shape.wrong(f"{path}.function", "property 'name' is missing")
        parameters = function.get("parameters")
        if not isinstance(parameters, dict | None):
            raise shape.wrong(f"{path}.function.parameters", "value must be an object")
        made.append(Tool(function["name"], parameters))
    return tuple(made)


def _tool_choice(body: Mapping[str, Any], tools: tuple[Tool, ...]) -> str:
    choice = body.get("tool_choice")
    if choice is None:
        return "auto" if tools else "none"
    if isinstance(choice, dict):
        function = choice.get("function")
        name = function.get("name") if isinstance(function, dict) else None
        if not isinstance(name, str) or name not in {tool.name for tool in tools}:
            raise shape.wrong("tool_choice", "names a function that is not in 'tools'")
        return f"={name}"
    rule = shape.one_of("none", "auto", "required")(choice)
    if rule is not None:
        raise shape.wrong("tool_choice", rule)
    if choice == "required" and not tools:
        raise shape.wrong("tool_choice", "`required` needs 'tools'")
    return str(choice)


def _form(body: Mapping[str, Any], rules: Rules) -> tuple[Form, Any]:
    asked = body.get("response_format")
    if asked is None:
        return Form.TEXT, None
    rule = shape.one_of(*Form)(asked.get("type"))
    if rule is not None:
        raise shape.wrong("response_format", "discriminator property 'type' has invalid value")
    form = Form(asked["type"])
    if form is not Form.TEXT and body.get("tools") and not rules.json_with_tools:
        raise bad("json mode cannot be combined with tool/function calling")
    if form is not Form.JSON_SCHEMA:
        return form, None
    wanted = asked.get("json_schema")
    if not isinstance(wanted, dict) or not isinstance(wanted.get("name"), str):
        raise shape.wrong("response_format.json_schema", "property 'name' is missing")
    schema = wanted.get("schema")
    if not isinstance(schema, dict | None):
        raise shape.wrong("response_format.json_schema.schema", "value must be an object")
    if wanted.get("strict") is True:
        _strict(wanted["name"], schema or {})
    return form, schema


def loosened(asked: Any) -> Any:
    """Give a response format without what only Groq demands of it: a name, strict schemas."""
    wanted = asked.get("json_schema") if isinstance(asked, dict) else None
    if not isinstance(wanted, dict):
        return asked
    return {**asked, "json_schema": {"name": "answer", "schema": wanted.get("schema")}}


def heard(part: Any) -> Any:
    """Give a part of a content; what is to be listened to reads as a text of no length."""
    sound = isinstance(part, dict) and part.get("type") == "input_audio"
    return {"type": "text", "text": ""} if sound else part


def _strict(name: str, schema: Mapping[str, Any]) -> None:
    """Constrained output wants every property required and no others allowed."""
    properties, required = schema.get("properties"), schema.get("required")
    if not isinstance(properties, dict):
        return
    listed = required if isinstance(required, list) else []
    missing = [name for name in properties if name not in listed]
    if missing or schema.get("additionalProperties") is not False:
        raise bad(
            f"invalid JSON schema for response_format: '{name}': `required` must list every "
            "property, and `additionalProperties` must be false, when `strict` is true",
            schema_path="/required" if missing else "/additionalProperties",
        )


def _effort(body: Mapping[str, Any], model: Model) -> str:
    asked = body.get("reasoning_effort")
    if asked is None:
        return model.default_effort
    if not model.efforts:
        raise bad("`reasoning_effort` is not supported with this model")
    rule = shape.one_of(*model.efforts)(asked)
    if rule is not None:
        raise bad(f"`reasoning_effort` {rule}")
    return str(asked)


def _reasoning(body: Mapping[str, Any], model: Model, *, strict: bool) -> Reasoning:
    shown, include = body.get("reasoning_format"), body.get("include_reasoning")
    if shown is not None and include is not None:
        raise bad("`reasoning_format` and `include_reasoning` cannot be used together")
    if not model.efforts:
        if shown is not None or include is not None:
            raise bad("`reasoning_format` is not supported with this model")
        return Reasoning.NONE
    if shown is not None and model.harmony:
        raise bad("`reasoning_format` is not supported with this model, use `include_reasoning`")
    if shown == "raw" and strict:
        raise bad("`reasoning_format` `raw` cannot be used with JSON mode or tools")
    if body.get("reasoning_effort") == "none":
        return Reasoning.NONE
    if include is False:
        return Reasoning.HIDDEN
    if model.harmony or include or (shown is None and strict):
        return Reasoning.PARSED
    return Reasoning(shown or "raw")
