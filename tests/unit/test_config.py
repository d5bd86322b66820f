"""Settings: defaults, errors that name the key, and an example file that shows every key."""

import re
import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel

from sipis.config import ApiSettings, Settings, load, parse
from sipis.errors import ConfigError

EXAMPLE = Path(__file__).parents[2] / "config" / "sipis.toml"


def uncommented() -> dict[str, object]:
    return tomllib.loads(re.sub(r"(?m)^#(?=[a-z\[])", "", EXAMPLE.read_text()))


def test_no_file_means_all_defaults() -> None:
    assert load(None, {}) == Settings()


def test_an_unknown_key_is_an_error_that_names_it() -> None:
    with pytest.raises(ConfigError, match=r"api\.prot"):
        parse({"api": {"prot": 1}})


def test_a_wrong_value_is_an_error_that_names_the_key_and_not_the_value() -> None:
    with pytest.raises(ConfigError) as wrong:
        parse({"api": {"port": "elephant"}})
    assert wrong.value.key == "api.port"
    assert "elephant" not in str(wrong.value)


def test_the_environment_overrides_what_is_no_secret() -> None:
    settings = load(None, {"SIPIS_API__PORT": "9", "SIPIS_SIP__NAMESERVERS": "a:1,b:2"})
    assert settings.api.port == 9
    assert settings.sip.nameservers == ("a:1", "b:2")


@pytest.mark.parametrize("section", ["KEYS", "APPS", "PROVIDERS"])
def test_the_environment_cannot_set_secrets(section: str) -> None:
    with pytest.raises(ConfigError, match="environment"):
        load(None, {f"SIPIS_{section}__KEK_FILE": "x"})


def test_a_public_api_needs_encryption_or_a_proxy() -> None:
    with pytest.raises(ConfigError, match="behind_proxy"):
        parse({"api": {"host": "0.0.0.0"}})
    assert ApiSettings(host="0.0.0.0", behind_proxy=True).behind_proxy


def test_a_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml"):
        load(tmp_path / "absent.toml", {})


def test_a_file_that_is_no_toml_is_an_error(tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("[api")
    with pytest.raises(ConfigError, match="not TOML"):
        load(broken, {})


def test_the_example_file_is_valid_as_it_stands_and_with_every_key_uncommented() -> None:
    assert parse(tomllib.loads(EXAMPLE.read_text())) == Settings()
    parse(uncommented())


def test_the_example_file_shows_every_key() -> None:
    shown = uncommented()
    for name, field in Settings.model_fields.items():
        if name in {"apps", "providers"}:
            continue
        section = getattr(Settings(), name)
        assert set(type(section).model_fields) == set(_table(shown[name])), name
        assert field is not None
    for name in ("apps", "providers"):
        table = _table(next(iter(_table(shown[name]).values())))
        model: type[BaseModel] = type(next(iter(getattr(parse(shown), name).values())))
        assert set(model.model_fields) == set(table), name


def _table(value: object) -> dict[str, object]:
    assert isinstance(value, dict)
    return value


def test_defaults_in_the_example_are_the_defaults_of_the_code() -> None:
    settings = parse({k: v for k, v in uncommented().items() if k in {"policy", "log"}})
    assert settings.policy == Settings().policy
    assert settings.log == Settings().log


def test_provider_settings_fall_back_to_the_defaults() -> None:
    settings = parse({"providers": {"a.example": {"inbound": "token"}}})
    assert settings.provider("A.example").inbound == "token"
    assert settings.provider("b.example").inbound == "set"


@pytest.mark.parametrize("key", ["ttl_default", "ttl_max"])
def test_no_life_is_shorter_than_what_an_app_may_ask_for(key: str) -> None:
    with pytest.raises(ConfigError, match=rf"policy\.{key}"):
        parse({"policy": {key: 59}})
