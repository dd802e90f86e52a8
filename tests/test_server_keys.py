from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner

import cnaps_rag.cli
from cnaps_rag.errors import RequestError
from cnaps_rag.server.keys import KeyRing, new_key, read_keys, revoke_keys, sha256_of_key


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.txt"


def bearer(key: str) -> str:
    return f"Bearer {key}"


def test_a_key_is_known_by_its_name_and_nothing_else_is(file: Path) -> None:
    key, other = new_key("team-a", file), new_key("team-b", file)
    ring = KeyRing(file)
    assert ring.needs_key
    assert ring.owner_of(bearer(key)) == "team-a"
    assert ring.owner_of(f"bearer  {other} ") == "team-b"
    for wrong in (
        None,
        "",
        "Bearer",
        "Bearer ",
        key,
        f"Basic {key}",
        bearer(key[:-1]),
        bearer(key.upper()),
        "Bearer \ud800",
    ):
        assert ring.owner_of(wrong) is None, wrong


def test_the_hash_of_a_key_opens_nothing(file: Path) -> None:
    key = new_key("team-a", file)
    assert KeyRing(file).owner_of(bearer(sha256_of_key(key))) is None


def test_without_a_file_everybody_is_local() -> None:
    ring = KeyRing(None)
    assert not ring.needs_key
    assert ring.owner_of(None) == ring.owner_of("Bearer anything") == "local"


def test_the_file_holds_hashes_only_and_is_the_owners_alone(file: Path) -> None:
    keys = [new_key("team-a", file) for _ in range(2)]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    text = file.read_text()
    for key in keys:
        assert key not in text
        assert key.removeprefix("cnr_") not in text
        assert len(key) >= len("cnr_") + 43  # 256 bits in base64
        assert sha256_of_key(key) in text
    assert [path.name for path in file.parent.iterdir()] == ["keys.txt"], "no part is left behind"


def test_a_changed_file_keeps_its_owner_and_the_links_to_it(file: Path) -> None:
    new_key("team-a", file)
    link = file.with_name("link")
    link.symlink_to(file)
    if os.geteuid() == 0:
        os.chown(file, 1234, 1235)
    owner = file.stat().st_uid, file.stat().st_gid
    new_key("team-b", link)
    assert link.is_symlink()
    assert [key.name for key in read_keys(file)] == ["team-a", "team-b"]
    assert (file.stat().st_uid, file.stat().st_gid) == owner


def test_rotation_needs_no_restart(file: Path) -> None:
    old = new_key("team-a", file)
    ring = KeyRing(file)
    new = new_key("team-a", file)
    assert ring.owner_of(bearer(old)) == ring.owner_of(bearer(new)) == "team-a"
    revoke_keys(sha256_of_key(old)[:8], file)
    assert ring.owner_of(bearer(old)) is None
    assert ring.owner_of(bearer(new)) == "team-a"
    revoke_keys("team-a", file)
    assert ring.owner_of(bearer(new)) is None


@pytest.mark.parametrize(
    "broken", ["team-a 1234 2026-01-01\n", "\x00", b"\xff\xfe", None], ids=["short", "nul", "bytes", "gone"]
)
def test_a_broken_file_keeps_the_last_good_keys_and_is_told(
    file: Path, broken: str | bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    key = new_key("team-a", file)
    good = file.read_bytes()
    ring = KeyRing(file)
    if broken is None:
        file.unlink()
    else:
        file.write_bytes(broken.encode() if isinstance(broken, str) else broken)
    with caplog.at_level("INFO", "cnaps_rag.server"):
        assert [ring.owner_of(bearer(key)) for _ in range(3)] == ["team-a"] * 3
    assert len(caplog.records) == 1, "told once, not with every request"
    assert "keys_file_unusable" in caplog.text
    assert key not in caplog.text
    file.write_bytes(good)
    revoke_keys("team-a", file)
    assert ring.owner_of(bearer(key)) is None


def test_a_file_of_no_keys_lets_nobody_in(file: Path) -> None:
    file.write_text("# nobody\n\n")
    assert KeyRing(file).owner_of("Bearer ") is None


def test_a_broken_file_at_the_start_is_an_error_that_does_not_repeat_its_lines(file: Path) -> None:
    file.write_text("# good\ncnr_this-is-a-key-in-clear\n")
    with pytest.raises(RequestError, match="line 2: ") as raised:
        KeyRing(file)
    assert "in-clear" not in str(raised.value)
    with pytest.raises(RequestError, match="cannot be read"):
        KeyRing(file.with_name("absent"))


@pytest.mark.parametrize("name", ["", "a b", "a\nb", "-a", "ü", "a" * 65])
def test_a_name_that_could_break_the_file_or_the_log_is_refused(file: Path, name: str) -> None:
    with pytest.raises(RequestError, match="no name of a key"):
        new_key(name, file)
    assert not file.exists()


def test_the_commands(file: Path) -> None:
    def run(*arguments: str) -> tuple[int, str, str]:
        ended = CliRunner().invoke(cnaps_rag.cli.main, ["keys", *arguments, "--file", str(file)])
        return ended.exit_code, ended.stdout, ended.stderr

    status, key, told = run("new", "team-a")
    assert status == 0
    assert KeyRing(file).owner_of(bearer(key.strip())) == "team-a"
    assert key.strip() not in told
    status, listed, _ = run("list", "--json")
    assert json.loads(listed) == [{"id": read_keys(file)[0].key_id, "name": "team-a", "made": read_keys(file)[0].made}]
    assert run("revoke", "team-b")[0] == 2
    assert run("revoke", "team-a")[0] == 0
    assert run("list")[1] == "no keys\n"
    assert run("new", "a b")[0] == 2
