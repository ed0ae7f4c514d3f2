"""x."""
from sqlglot import exp
from fucina.tasks.text_to_sql.scopes import parse
__all__=["is_ordered"]
def is_ordered(sql):
    tree = parse(sql)
    return tree is not None and tree.args.get("order") is not None
