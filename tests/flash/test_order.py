"""Flashing without hardware: order, dry run, and what is said when nothing works."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from edgepack.errors import (
    BuildError,
    ConfigError,
    FlashError,
    MissingToolError,
    ProjectError,
    UsageError,
)
from edgepack.flash import (
    FLASH_TOOLS,
    Capabilities,
    FlashOutcome,
    FlashRequest,
    Options,
    flash_project,
    launch,
)
from edgepack.flash import flash as flash_module
from edgepack.flash.base import check_options
from edgepack.flash.emulator import qemu_command
from edgepack.targets import load_target, load_targets
from tests.emulator.echo_project import write_project
from tests.flash.mini_elf import real_board, write_board_project

_ALL = Capabilities(formats=("elf",), verifies=True, resets=True, needs_hardware=True)


class FakeOptions(Options):
    probe: int


@dataclass(frozen=True)
class FakeTool:
    """A flash tool that does as it is told."""

    name: str
    absent: str | None = None
    broken: str | None = None
    needs_port: bool = False
    capabilities: Capabilities = _ALL
    install: str = "sudo apt-get install fake"
    options: type[Options] = FakeOptions

    def missing(self, request: FlashRequest) -> str | None:
        return self.absent

    def command(self, request: FlashRequest) -> tuple[str, ...]:
        return (self.name, str(request.options["probe"]), request.image.name)

    def flash(self, request: FlashRequest) -> FlashOutcome:
        if self.needs_port and request.port is None:
            raise UsageError("no port is named", next_step="--port PORT")
        if self.broken:
            raise FlashError(self.broken, next_step=f"mend {self.name}")
        return FlashOutcome(self.name, self.command(request), "done")


def run(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *tools: FakeTool,
    dry_run: bool = False,
    text: bytes | None = None,
) -> FlashOutcome:
    monkeypatch.setattr(flash_module, "FLASH_TOOLS", tools)
    target = real_board("netduinoplus2", **{tool.name: {"probe": 7} for tool in tools})
    manifest = write_board_project(tmp_path / "p", target, text)
    return flash_project(tmp_path / "p", manifest, target, dry_run=dry_run)


def test_the_first_tool_that_works_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = run(
        tmp_path,
        monkeypatch,
        FakeTool("absent", absent="not installed"),
        FakeTool("broken", broken="no probe found"),
        FakeTool("serial", needs_port=True),
        FakeTool("good"),
        FakeTool("never", broken="must not be asked"),
    )
    assert outcome.command == ("good", "7", "firmware.elf")
    assert [(attempt.tool, attempt.why) for attempt in outcome.attempts] == [
        ("absent", "not installed"),
        ("broken", "no probe found"),
        ("serial", "no port is named"),
    ]


def test_every_failure_is_told_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = (FakeTool("b", absent="gone"), FakeTool("a", broken="no probe"))
    with pytest.raises(FlashError) as caught:
        run(tmp_path, monkeypatch, *tools)
    told = caught.value.message.splitlines()[1:]
    assert told == ["b: gone", "a: no probe", "  next: mend a"]
    assert caught.value.next_step == "mend a"


def test_the_error_of_an_only_tool_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=r"^no port is named\n"):
        run(tmp_path, monkeypatch, FakeTool("serial", needs_port=True))


def test_nothing_installed_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(MissingToolError) as caught:
        run(tmp_path, monkeypatch, FakeTool("a", absent="not installed"))
    assert caught.value.next_step == "sudo apt-get install fake"


def test_a_dry_run_only_says_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = run(tmp_path, monkeypatch, FakeTool("a", broken="must not run"), dry_run=True)
    assert outcome.summary == "would run a 7 firmware.elf"


def test_an_unsound_image_reaches_no_board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flash_module, "FLASH_TOOLS", (FakeTool("a"),))
    target = real_board("netduinoplus2", a={"probe": 7})
    # linked for a chip whose flash is elsewhere
    manifest = write_board_project(tmp_path / "p", real_board("microbit"))
    with pytest.raises(BuildError, match="not a sound image"):
        flash_project(tmp_path / "p", manifest, target)


def test_a_tool_that_the_board_does_not_list_is_refused(tmp_path: Path) -> None:
    target = load_target("netduinoplus2")
    manifest = write_project(tmp_path / "p", target, "").model_copy(update={"image": "main.c"})
    with pytest.raises(ConfigError) as caught:
        flash_project(tmp_path / "p", manifest, target, tool="openocd")
    assert caught.value.allowed == "qemu"


@pytest.mark.parametrize(
    ("tool", "options", "said"),
    [
        ("dd", {}, "names the flash tool dd"),
        ("pyocd", {}, "target: Field required"),
        ("pyocd", {"target": "nrf51", "erase": "all"}, "erase: Input should be"),
        ("openocd", {"config": [], "file": "x"}, "file: Extra inputs"),
        ("qemu", {"machine": "x"}, "machine: Extra inputs"),
    ],
)
def test_a_record_with_unknown_options_is_refused(
    tool: str, options: dict[str, object], said: str, tmp_path: Path
) -> None:
    target = real_board("netduinoplus2", **{tool: options})
    manifest = write_board_project(tmp_path / "p", target)
    with pytest.raises(ConfigError, match=said):
        flash_project(tmp_path / "p", manifest, target)


def test_every_board_names_known_tools_and_options() -> None:
    by_name = {tool.name: tool for tool in FLASH_TOOLS}
    assert len(by_name) == len(FLASH_TOOLS)
    for target in load_targets():
        for method in target.board.flash:
            assert method.tool in by_name, f"{target.id} names {method.tool}"
            check_options(by_name[method.tool], method.options, target.id)


def test_every_tool_has_a_file_and_a_row_in_the_documentation() -> None:
    root = Path(__file__).resolve().parents[2]
    page = (root / "docs" / "flashing.md").read_text("utf-8")
    for tool in FLASH_TOOLS:
        assert (root / "edgepack" / "flash" / f"{tool.name}.py").is_file()
        row = next(line for line in page.splitlines() if f"`{tool.name}`" in line and "|" in line)
        for option in tool.options.model_fields:
            assert f"`{option}`" in row, f"docs/flashing.md: {tool.name} lacks {option}"


def test_a_project_without_an_image_is_refused(tmp_path: Path) -> None:
    target = load_target("netduinoplus2")
    manifest = write_project(tmp_path / "p", target, "")
    with pytest.raises(ProjectError, match="has no image"):
        flash_project(tmp_path / "p", manifest, target)
    with (
        pytest.raises(ProjectError, match="has no image"),
        launch(tmp_path / "p", manifest, target),
    ):
        pass


def test_a_real_board_cannot_be_started(tmp_path: Path) -> None:
    target = real_board("netduinoplus2", a={})
    manifest = write_project(tmp_path / "p", target, "").model_copy(update={"image": "main.c"})
    with pytest.raises(UsageError, match="name the port"), launch(tmp_path / "p", manifest, target):
        pass


def test_the_emulator_counts_instructions() -> None:
    command = qemu_command(load_target("mps2-an386"), Path("x.elf"), "pty,id=ep")
    assert command[:5] == ("qemu-system-arm", "-machine", "mps2-an386", "-icount", "shift=0")
    assert command[-2:] == ("-kernel", "x.elf")
    assert "-nodefaults" in command


def test_a_missing_emulator_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = load_target("virt-rv32")
    manifest = write_project(tmp_path / "p", target, "").model_copy(update={"image": "main.c"})
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingToolError, match="sudo apt-get install qemu-system-misc"):
        flash_project(tmp_path / "p", manifest, target)
