"""The pages of several workers -> one page.

A page is taken as the library prints it, in either of its two formats: families one after another,
each with its `# HELP` line first. No line is parsed further than to its first brace or space.
"""

import re
from collections.abc import Iterator, Mapping

from proxy.telemetry.metrics import WORKER_UP

_END = b"# EOF\n"
_HELP = re.compile(rb"^# HELP ", re.MULTILINE)  # never within a value: those escape line ends
_HEAD = re.compile(rb"([^ \n]*).*\n(?:# .*\n)*")
_LABELLED = re.compile(rb"^([\w:]+)\{", re.MULTILINE)
_PLAIN = re.compile(rb"^([\w:]+) ", re.MULTILINE)


def merged(pages: Mapping[int, bytes], count: int) -> bytes:
    """One page of all: every sample with its `worker`, every family once.

    Of `count` workers, those without a page are shown to be down. Takes milliseconds a page: call
    it in a thread.
    """
    families: dict[bytes, list[bytes]] = {}
    for index, page in sorted(pages.items()):
        for name, head, samples in _families(page.removesuffix(_END)):
            families.setdefault(name, [head]).append(_numbered(samples, index))
    families.get(WORKER_UP.encode(), []).extend(
        f'{WORKER_UP}{{worker="{index}"}} 0.0\n'.encode()
        for index in range(count)
        if index not in pages
    )
    end = _END if any(page.endswith(_END) for page in pages.values()) else b""
    return b"".join(part for parts in families.values() for part in parts) + end


def _families(page: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Name, head (`# HELP`, `# TYPE`, `# UNIT`) and samples of each family."""
    for family in _HELP.split(page)[1:]:
        head = _HEAD.match(family)
        assert head is not None
        yield head[1], b"# HELP " + head[0], family[head.end() :]


def _numbered(samples: bytes, index: int) -> bytes:
    """`samples` with one label more, the first."""
    samples = _LABELLED.sub(rb'\1{worker="%d",' % index, samples)
    return _PLAIN.sub(rb'\1{worker="%d"} ' % index, samples)
