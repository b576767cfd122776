"""The bridge, pure: requests before any family looks at them, those that are open, and the wire of the store."""
