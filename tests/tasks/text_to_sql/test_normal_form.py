"""Exact match: what is one query, differently written, and what is another."""

import pytest

from fucina.tasks.text_to_sql.database import Schema
from fucina.tasks.text_to_sql.normal_form import normal_form

SCHEMA = Schema({"a": ("id", "x", "y"), "b": ("id", "a_id", "z")})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("select x from a", 'SELECT T."X" FROM `A` AS T'),
        ("select x, y from a", "select y as second, x from a"),
        (
            "select a.x from a join b on a.id = b.a_id where z in (1, 2)",
            "select t2.x from b as t1 join a as t2 on t1.a_id = t2.id where t1.z in (2, 1)",
        ),
        (
            "select t1.x from a t1 join a t2 on t1.id = t2.y",
            "select t2.x from a t1 join a t2 on t2.id = t1.y",
        ),
        ("select x from a where x between 1 and 2", "select x from a where 2 >= x and x >= 1"),
        (
            "select x, count(*) as c from a group by x order by c desc",
            "select x, count(1) from a group by 1 order by 2 desc",
        ),
        ("select x from a where not x = 1", "select x from a where (x <> 1)"),
        ("select x from a where x not in (1)", "select x from a where 1 != x"),
        ('select x from a where x = "q"', "select x from a where 'q' = x"),
        ("select x from a union select z from b", "select z from b union select x from a"),
        (
            "select x from a where id in (select a_id from b where z > 1)",
            "select x from a as t where t.id in (select b.a_id from b where (1 < b.z))",
        ),
        ("select * from a", "select id, x, y from a"),
        ("select x from a join b using (id)", "select x from a, b where a.id = b.id"),
        (
            "select x from a where (x = 1 or y = 2) and id = 3",
            "select x from a where id = 3.0 and (y = 2 or x = 1)",
        ),
        (
            "select x from a left join b on b.a_id = a.id where b.id is null",
            "select t.x from a t left join b u on t.id = u.a_id where u.id is null",
        ),
        ("with q as (select x from a) select x from q", "select s.x from (select x from a) as s"),
    ],
)
def test_one_query_has_one_form(one, other):
    assert normal_form(one, SCHEMA) == normal_form(other, SCHEMA)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("select x from a where x = 'q'", "select x from a where x = 'Q'"),
        ("select distinct x from a", "select x from a"),
        ("select count(distinct x) from a", "select count(x) from a"),
        ("select x from a order by x", "select x from a order by x desc"),
        ("select x from a order by x, y", "select x from a order by y, x"),
        ("select x from a except select z from b", "select z from b except select x from a"),
        # Columns of operands are matched by their place.
        (
            "select x, y from a intersect select id, z from b",
            "select y, x from a intersect select id, z from b",
        ),
        ("select x from a union select z from b", "select x from a union all select z from b"),
        ("select x from a left join b on a.id = b.id", "select x from a join b on a.id = b.id"),
        ("select x from a limit 1", "select x from a limit 2"),
        ("select x - y from a", "select y - x from a"),
        (
            "select t1.x from a t1 join a t2 on t1.id = t2.y",
            "select t2.x from a t1 join a t2 on t1.id = t2.y",
        ),
        ("select x from a where x is null", "select x from a where x is not null"),
        ("select x from a where x like 'a%'", "select x from a where x not like 'a%'"),
        ("select x from a where x in (1, 2)", "select x from a where x not in (1, 2)"),
        ("select x from a where not x < 1", "select x from a where x < 1"),
        ("select x from a where x = 1 or y = 2", "select x from a where x = 1 and y = 2"),
    ],
)
def test_another_query_has_another_form(one, other):
    assert normal_form(one, SCHEMA) != normal_form(other, SCHEMA)


def test_what_is_no_query_has_none():
    assert normal_form("non lo so", SCHEMA) is None
    assert normal_form("select x from a; select y from a", SCHEMA) is None
