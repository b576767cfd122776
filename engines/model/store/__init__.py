"""An environment as bytes, and back: by the same family, or by a later one; and a family's outside as data."""
