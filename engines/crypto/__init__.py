"""Keys, what they sign and seal, and the file that keeps them: shared by families, devices and commands. No family."""
