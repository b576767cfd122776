"""An environment as bytes, and back: by the same family, by a later one; what a family is to the outside."""
