"""Own code by module:name: what can be chosen, and what each mistake is answered with."""

import copy
import pickle
import sys
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pytest

from twofold.components.errors import SettingsError
from twofold.components.settings import ChosenFrom, Implemented, Registry, Section

MODULE = '''
from typing import ClassVar
from pydantic import Field
from tests.components.test_own_code import ToolSettings

def saw(teeth):
    return teeth

class SawSettings(ToolSettings):
    """Cuts."""
    implementation: ClassVar[str] = "{name}:saw"
    teeth: int = Field(3, ge=1, description="how many")

class Nothing(ToolSettings):
    pass

class Elsewhere(ToolSettings):
    implementation: ClassVar[str] = "{name}:hammer"

class Wrong(ToolSettings):
    implementation: ClassVar[str] = "{name}:number"

def alone():
    pass

number = 3
'''


class ToolSettings(Implemented):
    """Settings of a tool."""

    name: str
    trains: ClassVar[bool] = True


def registry() -> Registry[ToolSettings]:
    found = Registry("tool", base=ToolSettings, group="test.tools", path="tool.name")

    @found.register
    class AxeSettings(ToolSettings):
        name: str = "axe"

    return found


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module in the working directory."""
    name = f"own_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(MODULE.format(name=name))
    (tmp_path / f"{name}_broken.py").write_text("import math\n1 / 0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return name


@pytest.mark.parametrize("inner", ["SawSettings", "saw"])
def test_settings_are_found_by_their_name_or_by_that_of_what_they_are_for(
    module: str, inner: str
) -> None:
    tools = registry()
    name = f"{module}:{inner}"
    chosen: Any = tools.validate({"name": name, "teeth": 5})
    assert chosen.model_dump() == {"name": name, "teeth": 5}
    assert tools.validate(chosen.model_dump()) == chosen
    assert tools.defaults(name) == {"teeth": 3}
    # By which its code becomes part of a fingerprint.
    assert type(chosen).__module__ == module
    assert tools[name].load_implementation()(7) == 7
    assert type(chosen).__doc__ == "Cuts."
    assert list(tools) == ["axe"]
    assert len(tools.every()) == 2


def test_a_section_takes_them_like_any_other(module: str) -> None:
    tools = registry()

    class Box(Section):
        tool: Annotated[ToolSettings, ChosenFrom(tools)]

    box = Box.model_validate({"tool": {"name": f"{module}:saw"}})
    assert Box.model_validate(box.model_dump(mode="json")) == box
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        Box.model_validate({"tool": {"name": f"{module}:saw", "teeth": 0}})


def test_they_are_pickled_by_their_name_which_is_imported_where_they_are_read(
    module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = registry().validate({"name": f"{module}:saw", "teeth": 5})
    given = pickle.dumps(chosen)
    # As in another process.
    elsewhere = registry()
    monkeypatch.delitem(sys.modules, module)
    read: Any = pickle.loads(given)
    assert read.model_dump() == chosen.model_dump()
    assert elsewhere.validate(read) is read
    assert pickle.loads(pickle.dumps(read)) == read == copy.deepcopy(read)


@pytest.mark.parametrize(
    ("inner", "message"),
    [
        ("Nope", r"has no Nope: expected the name of something in it"),
        ("alone", r"tool\.name=MODULE:alone is a function: expected a class derived from \S+Tool"),
        ("ToolSettings", r"is a class: expected a class derived from"),
        ("Nothing", r'Nothing\.implementation is missing: expected "module:name" of a function'),
        ("Elsewhere", r"has no hammer"),
        (
            "Wrong",
            r"Wrong\.implementation=MODULE:number: expected a function, received type int",
        ),
    ],
)
def test_a_mistake_is_answered_in_one_line(module: str, inner: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message.replace("MODULE", module)) as refusal:
        registry()[f"{module}:{inner}"]
    assert "\n" not in str(refusal.value)


def test_a_module_that_is_not_there_or_fails_is_named(module: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=rf"no module not_there: expected.*{tmp_path}"):
        registry()["not_there:X"]
    with pytest.raises(SettingsError, match=r"_broken failed: ZeroDivisionError: division by zero"):
        registry()[f"{module}_broken:X"]


def test_an_unknown_name_is_answered_with_the_known_ones_and_the_way_to_ones_own() -> None:
    with pytest.raises(
        SettingsError, match=r"unknown tool 'ax': expected one of axe, or module:name of your own"
    ):
        registry()["ax"]


def test_an_entry_point_is_known_by_its_name(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = tmp_path / "own_tools-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: own-tools\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[test.tools]\ncutter = {module}:SawSettings\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    tools = registry()
    assert tools.validate({"name": "cutter"}).model_dump() == {"name": "cutter", "teeth": 3}
    with pytest.raises(SettingsError, match="expected one of axe, cutter, or module:name"):
        registry()["drill"]


def test_where_nothing_of_ones_own_is_taken_a_colon_is_a_name_like_any_other() -> None:
    plain: Registry[ToolSettings] = Registry("tool")
    assert not plain.is_own("a:b")
    with pytest.raises(SettingsError, match="unknown tool 'a:b'"):
        plain["a:b"]
