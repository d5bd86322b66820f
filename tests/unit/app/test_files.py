"""Replaced files are taken up once; one that cannot be used is tried until it can."""

from pathlib import Path

from sipis.app.files import Followed
from sipis.errors import ConfigError


class Taker:
    """Takes up files, unless it is told that they are broken."""

    def __init__(self) -> None:
        self.taken = 0
        self.broken = False

    def __call__(self) -> None:
        if self.broken:
            raise ConfigError("api.cert_file", "certificate or key cannot be used")
        self.taken += 1


def test_a_file_is_taken_up_once_for_each_change(tmp_path: Path) -> None:
    path, taker = tmp_path / "cert", Taker()
    path.write_text("first")
    followed = Followed([path, None], taker)
    assert followed.follow()
    assert taker.taken == 0
    path.write_text("second one")
    assert [followed.follow(), followed.follow()] == [True, True]
    assert taker.taken == 1


def test_a_broken_file_stays_broken_in_every_round_until_it_is_mended(tmp_path: Path) -> None:
    path, taker = tmp_path / "cert", Taker()
    path.write_text("first")
    followed = Followed([path], taker)
    path.write_text("nonsense")
    taker.broken = True
    assert [followed.follow(), followed.follow()] == [False, False]
    taker.broken = False
    assert followed.follow()
    assert taker.taken == 1


def test_a_file_that_goes_and_comes_is_taken_up_again(tmp_path: Path) -> None:
    path, taker = tmp_path / "cert", Taker()
    path.write_text("first")
    followed = Followed([path], taker)
    path.unlink()
    assert followed.follow()
    path.write_text("first")
    assert followed.follow()
    assert taker.taken == 2
