"""What every section of the file shares: strict, frozen, no unknown knobs; lists and mappings."""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

_T = TypeVar("_T")
_K = TypeVar("_K", bound=str)


class Section(BaseModel):
    """A group of knobs; the `description` of each is its meaning in the file and the README."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, hide_input_in_errors=True
    )

    @model_validator(mode="before")
    @classmethod
    def _heading_alone(cls, written: object) -> object:
        """Read a heading whose lines are all commented out as setting nothing."""
        return {} if written is None else written


def _empty_tuple(written: object) -> object:
    return () if written is None else written


def _empty_dict(written: object) -> object:
    return {} if written is None else written


# A list of the file becomes a tuple: the items stay strict, only the container is not.
Many = Annotated[tuple[_T, ...], Field(strict=False), BeforeValidator(_empty_tuple)]
Named = Annotated[dict[_K, _T], BeforeValidator(_empty_dict)]

Seconds = Annotated[float, Field(gt=0, le=86_400)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]


def at(path: tuple[int | str, ...], reason: str, value: object = None) -> PydanticCustomError:
    """Build the error for a knob below what is checked; `value` is shown where that is safe."""
    return PydanticCustomError("at", "{reason}", {"path": path, "reason": reason, "value": value})


def laid_over(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """Merge two trees: `upper` wins where it says something. Lists are taken whole."""
    merged = dict(lower)
    for name, value in upper.items():
        below = merged.get(name)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            merged[name] = laid_over(below, value)
        elif value is not None or name not in merged:
            merged[name] = value
    return merged
