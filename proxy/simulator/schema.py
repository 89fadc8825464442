"""An instance for a JSON schema: what a model with constrained output would have written.

Common schemas are satisfied. Whatever a caller sends instead of a schema gives some JSON value
and no exception.
"""

import uuid
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

DEEPEST = 6  # below this only what is required, and the smallest choice
MOST_ITEMS = 20
MOST_VALUES = 2_000  # in one instance: a schema can branch without end
LONGEST_STRING = 2_000

Words = Callable[[], str]

_FORMATS: dict[str, str] = {
    "date": "2026-11-21",
    "date-time": "2026-11-21T09:30:00Z",
    "time": "09:30:00Z",
    "email": "ada@example.com",
    "uri": "https://example.com/simulated",
    "url": "https://example.com/simulated",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "duration": "PT5M",
}


def instance(schema: Any, chance: Random, words: Words) -> Any:
    """Give a value that fits the schema; texts come from `words`."""
    return _Maker(schema, chance, words).make(schema, 0)


class _Maker:
    def __init__(self, root: Any, chance: Random, words: Words) -> None:
        self._root = root
        self._chance = chance
        self._words = words
        self._made = 0

    def make(self, schema: Any, depth: int) -> Any:
        self._made += 1
        if not isinstance(schema, Mapping) or depth > 4 * DEEPEST or self._made > MOST_VALUES:
            return None
        schema = self._resolved(schema)
        if "const" in schema:
            return schema["const"]
        if isinstance(schema.get("enum"), list) and schema["enum"]:
            return self._chance.choice(schema["enum"])
        for name in ("anyOf", "oneOf"):
            options = schema.get(name)
            if isinstance(options, list) and options:
                rest = {key: value for key, value in schema.items() if key != name}
                return self.make(_merged(rest, self._pick(options, depth)), depth + 1)
        match self._type(schema, depth):
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, depth)
            case "number" | "integer":
                return self._number(schema)
            case "boolean":
                return self._chance.random() < 0.5
            case "null":
                return None
        return self._string(schema)

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """Follow `$ref` inside the document and fold `allOf` in."""
        for _ in range(DEEPEST):
            ref = schema.get("$ref")
            if not isinstance(ref, str):
                break
            rest = {key: value for key, value in schema.items() if key != "$ref"}
            schema = _merged(rest, self._at(ref))
        parts = schema.get("allOf")
        if isinstance(parts, list):
            schema = {key: value for key, value in schema.items() if key != "allOf"}
            for part in parts[:MOST_ITEMS]:
                schema = _merged(schema, self._at_ref(part))
        return schema

    def _at_ref(self, part: Any) -> Any:
        ref = part.get("$ref") if isinstance(part, Mapping) else None
        return self._at(ref) if isinstance(ref, str) else part

    def _at(self, ref: str) -> Any:
        value = self._root
        for step in ref.removeprefix("#").strip("/").split("/"):
            if step:
                name = step.replace("~1", "/").replace("~0", "~")
                value = value.get(name) if isinstance(value, Mapping) else None
        return value

    def _pick(self, options: list[Any], depth: int) -> Any:
        """Choose a branch; deep down the one that ends the recursion, if there is one."""
        if depth >= DEEPEST:
            for option in options:
                if isinstance(option, Mapping) and option.get("type") in _ENDINGS:
                    return option
        solid = [o for o in options if isinstance(o, Mapping) and o.get("type") != "null"]
        return self._chance.choice(solid or options)

    def _type(self, schema: Mapping[str, Any], depth: int) -> str:
        named = schema.get("type")
        if isinstance(named, list):
            types = [name for name in named if isinstance(name, str)]
            if depth >= DEEPEST and "null" in types:
                return "null"
            named = next((name for name in types if name != "null"), "null")
        if isinstance(named, str):
            return named
        if "properties" in schema or "required" in schema:
            return "object"
        if "items" in schema or "prefixItems" in schema:
            return "array"
        return "integer" if "minimum" in schema or "maximum" in schema else "string"

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        known = schema.get("properties")
        properties = known if isinstance(known, Mapping) else {}
        listed = schema.get("required")
        required = [n for n in listed if isinstance(n, str)] if isinstance(listed, list) else []
        names = required if depth >= DEEPEST else dict.fromkeys([*properties, *required])
        made = {name: self.make(properties.get(name, {}), depth + 1) for name in names}
        least = _whole(schema.get("minProperties"), 0)
        extra = schema.get("additionalProperties")
        for number in range(len(made), min(least, MOST_ITEMS)):
            made[f"extra_{number}"] = self.make(extra, depth + 1)
        return made

    def _array(self, schema: Mapping[str, Any], depth: int) -> list[Any]:
        least = _whole(schema.get("minItems"), 0)
        most = _whole(schema.get("maxItems"), MOST_ITEMS)
        wanted = least if depth >= DEEPEST else max(least, self._chance.randint(1, 3))
        fixed = schema.get("prefixItems")
        leading = fixed if isinstance(fixed, list) else []
        size = max(0, min(max(wanted, len(leading)), most, MOST_ITEMS))
        items = schema.get("items")
        rows = [leading[n] if n < len(leading) else items for n in range(size)]
        made = [self.make({} if row is None else row, depth + 1) for row in rows]
        if schema.get("uniqueItems") is True:
            return [row for n, row in enumerate(made) if row not in made[:n]]
        return made

    def _string(self, schema: Mapping[str, Any]) -> str:
        shape = schema.get("format")
        if shape == "uuid":
            return str(uuid.UUID(int=self._chance.getrandbits(128), version=4))
        if isinstance(shape, str) and shape in _FORMATS:
            return _FORMATS[shape]
        least = min(_whole(schema.get("minLength"), 0), LONGEST_STRING)
        most = _whole(schema.get("maxLength"), LONGEST_STRING)
        text = self._words()
        while text and len(text) < least:
            text = f"{text} {self._words()}"
        return text.ljust(least, "x")[: max(0, most)]

    def _number(self, schema: Mapping[str, Any]) -> float:
        """Give a number in the bounds; whole, which a `number` may be too."""
        low = _figure(schema.get("minimum"), _figure(schema.get("exclusiveMinimum"), None, +1))
        high = _figure(schema.get("maximum"), _figure(schema.get("exclusiveMaximum"), None, -1))
        if low is None and high is None:
            low, high = 1.0, 100.0
        low = low if low is not None else (high or 0.0) - 99
        high = high if high is not None else low + 99
        if schema.get("type") == "number" and high - low < 1:
            return (low + high) / 2
        step = _figure(schema.get("multipleOf"), None)
        if step is not None and step > 1e-9:
            multiple = -(-low // step) * step
            return int(multiple) if multiple.is_integer() else multiple
        first = int(-(-low // 1))
        return self._chance.randint(first, max(first, int(high // 1)))


_ENDINGS = frozenset({"null", "string", "number", "integer", "boolean"})


def _merged(base: Mapping[str, Any], extra: Any) -> dict[str, Any]:
    """Join two schemas: their properties and required names are united."""
    if not isinstance(extra, Mapping):
        return dict(base)
    joined = {**base, **extra}
    if isinstance(base.get("properties"), Mapping) and isinstance(extra.get("properties"), Mapping):
        joined["properties"] = {**base["properties"], **extra["properties"]}
    if isinstance(base.get("required"), list) and isinstance(extra.get("required"), list):
        joined["required"] = [*base["required"], *extra["required"]]
    return joined


def _whole(value: Any, otherwise: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else otherwise


def _figure(value: Any, otherwise: float | None, shift: float = 0.0) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e15:
        return otherwise
    return float(value) + shift
