"""The list of verbs."""

import typer

from fucina import __version__
from fucina.cli import (
    advise,
    ask,
    audit,
    augment,
    clean,
    compare,
    demo,
    diagnose,
    evaluate,
    explain,
    export,
    import_,
    index,
    new,
    plan,
    predict,
    pretrain,
    report,
    schema,
    serve,
    synthesize,
    train,
)

__all__ = ["app"]

app = typer.Typer(
    name="fucina",
    help="Turn a small language model and a small data set into a specialist proven to work.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain help starts in half the time
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", help="Show the version and stop."),
) -> None:
    if version:
        typer.echo(f"fucina {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


for verb in (
    demo,
    new,
    audit,
    augment,
    synthesize,
    plan,
    train,
    evaluate,
    compare,
    diagnose,
    explain,
    predict,
    report,
    export,
    import_,
    index,
    ask,
    advise,
    serve,
    pretrain,
    clean,
    schema,
):
    # import_ has the name of a verb that Python keeps for itself.
    app.command(name=verb.__name__.rsplit(".", 1)[-1].rstrip("_"))(verb.command)
