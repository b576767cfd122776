"""A group of commands, such as `state`, that suggests a command for an unknown one."""

from __future__ import annotations

from typing import Final

import click

USUAL: Final = {
    "state": "get",
    "quarantine": "show",
    "journal": "verify",
    "key": "ls",
    "tx": "query",
    "storage": "ls",
}
"""The command that shows the named thing: `state bob` means `state get bob`."""


class SubcommandGroup(click.Group):
    """The group of one of `USUAL`."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does; suggests a similar name, else the usual command for this argument."""
        name = args[0]
        if name not in self.commands and not name.startswith("-") and not ctx.resilient_parsing:
            from host.config.suggest import closest

            assert self.name is not None
            meant = closest(name, self.commands) or f"{USUAL[self.name]} {name}"
            raise click.UsageError(f"no command `{self.name} {name}`: did you mean `{self.name} {meant}`?", ctx)
        return super().resolve_command(ctx, args)
