"""Dataclasses for what is made at every call."""

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

_Made = TypeVar("_Made")


@dataclass_transform(frozen_default=True)
def light(cls: type[_Made]) -> type[_Made]:
    """A dataclass with slots that only the type checker knows to be frozen.

    One that is frozen at run time sets each field by a call of its own, and takes three times as
    long to make.
    """
    return dataclass(slots=True, unsafe_hash=True)(cls)
