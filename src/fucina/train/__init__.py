"""Stage 3: one loop for a stack of members, with stopping, rollback and exact resume."""

__all__: list[str] = []
