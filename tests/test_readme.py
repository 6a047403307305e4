"""The README: its commands can be typed, and its table of recipes is that of the recipes."""

import re
import shlex
from pathlib import Path

import pytest
import typer
from typer.exceptions import TyperException

from twofold.components.errors import ConfigError
from twofold.pipeline.cli.app import app
from twofold.pipeline.cli.recipe_table import BEGIN, END, recipe_table, with_table
from twofold.pipeline.config import override
from twofold.pipeline.recipes import load_recipe, recipe_names

README = Path(__file__).parents[1] / "README.md"
TEXT = README.read_text(encoding="utf-8")
# What stands for anything of its kind, and a recipe's own name is as good as any.
PLACEHOLDERS = {"RECIPE": "quickstart", "RECIPE|FILE.yaml": "quickstart", "NAME": "quickstart"}


def command_lines(text: str) -> list[str]:
    """The lines that call `twofold`, of code blocks and between backticks, comments left out."""
    # One that goes on in the next line is one command.
    text = re.sub(r" \\\n +", " ", text)
    blocks = re.findall(r"^    (?:\$ )?(?:\S*/)?(twofold .*)$", text, re.MULTILINE)
    spans = [" ".join(span.split()) for span in re.findall(r"`(twofold\s[^`]+)`", text)]
    found = []
    for line in [*blocks, *spans]:
        command = re.split(r"\s{2,}|\s#|\s>", line)[0]
        step = re.match(r"twofold ([a-z|]+)", command)
        names = step[1].split("|") if step else []
        found += [command.replace(step[1], name, 1) for name in names] if step else [command]
    return sorted(set(found))


def check(line: str) -> None:
    """Parses a command line as typer does, and its recipe and settings as the command would."""
    program = typer.main.get_command(app)
    assert isinstance(program, typer.core.TyperGroup)
    _, name, *arguments = [PLACEHOLDERS.get(word, word) for word in shlex.split(line)]
    command = program.commands[name]
    beam = arguments.index("--") if "--" in arguments else len(arguments)
    takes_nothing = not arguments and any(one.required for one in command.params)
    if takes_nothing:
        return  # It is named, not called.
    with command.make_context(name, arguments[:beam]) as context:
        values = context.params
    settings = list(values.get("settings") or ())
    if "policy" in values and values["policy"] != "POLICY":
        chosen = [f"views={{policy: {values['policy']}}}", *(f"views.{one}" for one in settings)]
        override(load_recipe("folder_simclr"), chosen)
    elif "recipe" in values and not values["recipe"].endswith(".yaml"):
        override(load_recipe(values["recipe"]), settings)


@pytest.mark.parametrize("line", command_lines(TEXT))
def test_a_command_of_the_readme_can_be_typed(line: str) -> None:
    check(line)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("twofold rum quickstart", KeyError),
        ("twofold run quickstrat", ConfigError),
        ("twofold run quickstart --sett a=b", TyperException),
        ("twofold run quickstart --set training.epoch=3", ConfigError),
        ("twofold views byol_b --set solarize_probability=0.5", ConfigError),
        ("twofold promote MODEL_DIR", TyperException),
    ],
)
def test_one_that_cannot_be_typed_would_be_found(line: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        check(line)


def test_the_lines_are_found_wherever_they_stand() -> None:
    text = "`twofold\nrollback ROOT` and\n\n    $ .venv/bin/twofold run quickstart   # done\n"
    text += "    twofold prepare|export  one step\n"

    assert command_lines(text) == [
        "twofold export",
        "twofold prepare",
        "twofold rollback ROOT",
        "twofold run quickstart",
    ]
    assert len(command_lines(TEXT)) > 25


def test_the_table_of_recipes_is_up_to_date() -> None:
    assert with_table(TEXT) == TEXT, "type: make readme"
    for name in recipe_names():
        assert f"| `{name}` |" in recipe_table()


def test_a_readme_without_the_marks_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected the lines"):
        with_table("no table")
    assert with_table(f"a\n{BEGIN}\nold\n{END}\nb").startswith(f"a\n{BEGIN}\n| recipe |")
