"""The fingerprints of visited states, in memory that processes share after a fork."""

class SharedVisited:
    """Fingerprints with their parents. A first table has `2**bits` windows; at most `tables` are used."""

    def __init__(self, bits: int = 13, tables: int = 40) -> None: ...
    def add(self, print: int, parent: int, /) -> bool:
        """Whether the state was not there; then it is now. Raises MemoryError when there is no room."""

    def parent(self, print: int, /) -> int:
        """The state it was first reached from; 0: none. Raises KeyError."""

    def __contains__(self, print: int, /) -> bool: ...
    def __len__(self) -> int: ...
