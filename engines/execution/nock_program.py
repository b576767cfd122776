"""Nock programs that read and write keys: a formula that is run step by step.

The formula is run on `[state input]`, and its product is `[state requests]`. It starts with state and input 0. Requests
are a list: `[0 key]` reads a key, `[1 key value]` writes one. Keys and values are any nouns. If a step reads, the
formula is run again, on its state and a list of `[key unit]` in the order of its reads: the unit is 0 for an absent
key, else `[0 value]`. A step that reads nothing is the last one.
"""

from __future__ import annotations

from typing import Final

from .nock import NockError, OutOfGasError, evaluate
from .nouns import Noun, NounError, cue, items_of, jam, list_of
from .programs import ProgramError, Read

READ, WRITE = 0, 1
READ_GAS: Final = 10
"""Of a read, beside its step: what the public texts charge for a scry."""


def run_nock(formula_jam: bytes, read: Read, gas: int) -> tuple[dict[bytes, bytes], int]:
    """What the program writes, and the gas it needed.

    Raises:
        OutOfGasError: `gas` does not suffice.
        ProgramError: a step has no product, or one that is no state and requests.
    """
    writes: dict[bytes, bytes] = {}
    left = gas
    try:
        formula = cue(formula_jam)
        state: Noun = 0
        given: Noun = 0
        while True:
            product, left = evaluate((state, given), formula, left)
            if isinstance(product, int):
                raise ProgramError("a step gave an atom, not state and requests")
            state, requests = product
            answers: list[Noun] = []
            for request in items_of(requests):
                if (key := _key_read(request)) is not None:
                    left = _spent(left)
                    answers.append((key, _unit(read(jam(key)))))
                else:
                    key, value = _written(request)
                    writes[jam(key)] = jam(value)
            if not answers:
                return writes, gas - left
            given = list_of(answers)
    except OutOfGasError:
        raise
    except (NockError, NounError) as error:
        raise ProgramError(str(error)) from None


def _spent(gas: int) -> int:
    if gas < READ_GAS:
        raise OutOfGasError("out of gas")
    return gas - READ_GAS


def _key_read(request: Noun) -> Noun | None:
    """The key of a request to read; None for another request."""
    if isinstance(request, int):
        raise ProgramError("a request is a cell")
    kind, key = request
    return key if isinstance(kind, int) and kind == READ else None


def _written(request: Noun) -> tuple[Noun, Noun]:
    if (
        isinstance(request, int)
        or not isinstance(request[0], int)
        or request[0] != WRITE
        or isinstance(request[1], int)
    ):
        raise ProgramError("a request is [0 key] or [1 key value]")
    key, value = request[1]
    return key, value


def _unit(datum: bytes | None) -> Noun:
    return 0 if datum is None else (0, cue(datum))
