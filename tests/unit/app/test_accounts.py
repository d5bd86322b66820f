"""Accounts at push services follow their key files, with all that a file names."""

from pathlib import Path

import pytest

from sipis.app.accounts import Accounts, push_files
from sipis.config import AppSettings, FcmSettings
from sipis.errors import ConfigError
from sipis.world.operator_keys import GoogleKey


def key(project: str) -> GoogleKey:
    email = f"push@{project}.example"
    return GoogleKey("https://token.example", project_id=project, client_email=email)


def test_another_service_account_brings_its_project_and_its_name(tmp_path: Path) -> None:
    path = key("first").write(tmp_path)
    app = AppSettings(fcm=FcmSettings(service_account_file=path))
    accounts = Accounts({"phone": app})
    before = accounts.fcm("phone")
    path.write_bytes(key("second").json)
    accounts.reload("phone")
    after = accounts.fcm("phone")
    assert before is not None
    assert after is not None
    assert (before.project_id, after.project_id) == ("first", "second")
    assert before.client_email != after.client_email
    assert before.signer is not after.signer


def test_a_broken_file_leaves_the_account_as_it_was(tmp_path: Path) -> None:
    path = key("first").write(tmp_path)
    app = AppSettings(fcm=FcmSettings(service_account_file=path))
    accounts = Accounts({"phone": app})
    before = accounts.fcm("phone")
    path.write_text("{}")
    with pytest.raises(ConfigError, match="private key"):
        accounts.reload("phone")
    assert accounts.fcm("phone") is before


def test_an_app_without_push_services_has_no_files_to_follow() -> None:
    assert push_files(AppSettings()) == []
