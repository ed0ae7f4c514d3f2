"""fucina schema: the settings of a recipe, for editors."""

import json

import typer

__all__ = ["command"]


def command() -> None:
    """Print the JSON schema of a recipe."""
    from fucina.recipe import schema

    typer.echo(json.dumps(schema(), indent=2))
