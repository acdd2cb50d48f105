"""The public API as type checkers see it: mypy --strict and pyright agree on api.py."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
API = Path(__file__).with_name("api.py")


def check(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.timeout(300)
def test_mypy_accepts_the_api_and_finds_the_mistakes() -> None:
    done = check(sys.executable, "-m", "mypy", "--strict", str(API.relative_to(ROOT)))

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.timeout(300)
def test_pyright_accepts_the_api_and_finds_the_mistakes() -> None:
    config = str(API.with_name("pyrightconfig.json"))

    done = check(
        sys.executable, "-m", "pyright", "--project", config, "--pythonpath", sys.executable
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.timeout(300)
def test_the_checkers_would_notice_a_mistake(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "from windlass import Windlass\n"
        "app = Windlass()\n"
        "@app.task\n"
        "def add(x: int) -> int:\n"
        "    return x\n"
        "add.delay('1')\n"
    )

    done = check(sys.executable, "-m", "mypy", "--strict", str(wrong))

    assert 'incompatible type "str"; expected "int"' in done.stdout
