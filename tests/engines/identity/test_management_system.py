"""Identity management under the checker; and that the checker finds a deletion that does not say which key it means."""

from __future__ import annotations

from typing import Any

import pytest

from engines.devices.key_store import DeleteKey
from engines.identity import management
from engines.model import Ref, Send
from host.check.run import CheckReport, CheckRequest, check


def checked() -> CheckReport:
    return check(CheckRequest(subject="engines.identity.management_system:SYSTEM"))


def test_a_known_identity_has_its_key() -> None:
    """False if repeated or late orders leave an identity without its key, or a request without its one answer."""
    found = checked().found
    assert not found.ended
    assert found.violations == []
    assert found.counts.states == 3_822


def test_a_deletion_by_name_only_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """False if the check passes management that lets a late repeat wipe the key that has the name now."""
    ours = management.order_of

    def by_name(number: int, pending: Any, config: Any, me: str) -> Any:
        if isinstance(pending, management.Deleting):
            return Send(config.stores[pending.backend], DeleteKey(pending.name, Ref(me), number))
        return ours(number, pending, config, me)

    monkeypatch.setattr(management, "order_of", by_name)
    [violation] = checked().found.violations
    assert violation.property == "always known_keys_are_stored"
