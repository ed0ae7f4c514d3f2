"""The settings of text-to-SQL: what the model is shown of a database, and what a query may cost."""

from typing import Annotated, Literal

from pydantic import Field

from fucina.config import Settings

__all__ = ["SETTINGS", "TextToSqlConfig"]


class TextToSqlConfig(Settings):
    """What the model is shown of a database, and what a query may cost; for text_to_sql alone."""

    schema_form: Annotated[
        Literal["ddl", "short"],
        Field(description="ddl: CREATE TABLE as written; short: a line a table, names alone."),
    ] = "ddl"
    sample_rows: Annotated[
        int, Field(ge=0, le=100, description="Rows of each table shown below its columns.")
    ] = 3
    schema_characters: Annotated[
        int,
        Field(
            ge=100,
            le=1_000_000,
            description="A longer schema loses sample rows first, then the tables least like the "
            "question.",
        ),
    ] = 6000
    time_limit_s: Annotated[
        float, Field(gt=0, le=3600, description="A query that runs longer is stopped, seconds.")
    ] = 5.0
    row_limit: Annotated[
        int, Field(ge=1, le=10_000_000, description="A query that gives more rows is stopped.")
    ] = 10_000
    memory_limit_mib: Annotated[
        int, Field(ge=16, le=1_000_000, description="A query that needs more is stopped, MiB.")
    ] = 256


SETTINGS = TextToSqlConfig
