"""`Blob`: a read-only view of a large field, without a copy.

A blob over a transport's memory is valid during the transition it came with; `copy()` gives one that owns its bytes,
which is what belongs in state. Two blobs, or a blob and bytes, are equal when their content is.
"""

from typing import NoReturn, final


@final
class Blob:
    """A read-only view of bytes, compared and hashed by content.

    Args:
        content: bytes, or a contiguous read-only memoryview. A writable one is refused; with `memoryview.toreadonly`
        the
            caller promises that its owner does not change it while the blob lives.

    Raises:
        TypeError: `content` is neither, or can be written through.
    """

    __slots__ = ("view",)

    view: memoryview

    def __init__(self, content: bytes | memoryview = b"") -> None:
        if not isinstance(content, bytes | memoryview):
            raise TypeError(f"a Blob is made of bytes or a read-only memoryview, not {type(content).__name__}")
        view = memoryview(content)
        if not view.readonly or not view.c_contiguous:
            raise TypeError("a Blob needs a contiguous read-only memoryview; this one is writable or strided")
        object.__setattr__(self, "view", view.cast("B"))

    @property
    def is_owned(self) -> bool:
        """Whether the bytes behind the view can neither change nor vanish."""
        return isinstance(self.view.obj, bytes)

    def copy(self) -> "Blob":
        """A blob that owns exactly these bytes; itself when it already does."""
        if isinstance(self.view.obj, bytes) and len(self.view.obj) == len(self.view):
            return self
        return Blob(bytes(self.view))

    def __bytes__(self) -> bytes:
        return bytes(self.view)

    def __len__(self) -> int:
        return len(self.view)

    def __getitem__(self, part: slice) -> "Blob":
        """A view of a part; nothing is copied."""
        return Blob(self.view[part])

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Blob):
            return self.view == other.view
        return self.view == other if isinstance(other, bytes) else NotImplemented

    def __hash__(self) -> int:
        return hash(bytes(self.view))

    def __repr__(self) -> str:
        head = bytes(self.view[:16]).hex()
        return f"Blob(0x{head}{'…' if len(self) > 16 else ''}, {len(self)} bytes)"

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"Blob is immutable: cannot set {name!r}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"Blob is immutable: cannot delete {name!r}")

    def __copy__(self) -> "Blob":
        return self

    def __deepcopy__(self, memo: object) -> "Blob":
        return self.copy()
