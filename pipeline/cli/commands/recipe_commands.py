"""Commands about recipes: `recipes` and `show`."""

from __future__ import annotations

import sys

from rich.markup import escape

from twofold.pipeline import config as configuration
from twofold.pipeline import recipes
from twofold.pipeline.cli.commands.run_options import RecipeArgument, SetOption, load_config
from twofold.pipeline.cli.console import out


def list_recipes() -> None:
    """List the recipes with their cost and expected results.

    Example: twofold recipes
    """
    for name in recipes.recipe_names():
        out.print(f"[bold]{name}[/bold]")
        for line in recipes.describe_recipe(name).splitlines():
            out.print(f"    {escape(line)}" if line else "")
        expected = recipes.expected_results(name)
        data = next((one.protocol.data for one in expected if one.protocol.data), "")
        out.print()
        out.print(f"    Expected{f', on {data}' if data else ''}:")
        for one in expected:
            out.print(f"        {escape(one.sentence)}")
        out.print()


def show(recipe: RecipeArgument, settings: SetOption = None) -> None:
    """Print every setting as YAML with what it is for; `twofold run` takes it back.

    Example: twofold show quickstart > my.yaml
    """
    sys.stdout.write(configuration.to_commented_yaml(load_config(recipe, settings)))
