{#
The rules of a model's rows, in one test, as each test costs time in every build. A failure is one row: its `broken_rules` name each
broken rule, its columns, and in how many cases it is broken.

- `keys`: columns, or lists of columns, that identify a row: unique together, and never null.
- `unique`: the same, but null is a value like any other.
- `not_null`: columns that are never null.
- `accepted_values`: by column, the values that it has where it isn't null.
- `row_count_of`: the relation with as many rows, so that no row is lost or doubled between two layers; `row_count_where` says which
  of its rows.
- `affected_by`: for a mart that accumulates, the column that says which rows this build replaced: those of `affected_contacts`. Only
  these are checked.
#}
{% test rules(model, keys=[], unique=[], not_null=[], accepted_values={}, row_count_of=none, row_count_where='true', affected_by=none, affected_contacts=none) %}
{%- set checked = model ~ ' where ' ~ is_affected(affected_by, affected_contacts) -%}
{#- Of a table each rule reads its own columns; a view is computed once for all rules. -#}
{%- set rows = 'rows_of_view' if execute and (load_cached_relation(model) or {}).is_view else checked -%}
{%- set never_null = [] -%}
{%- set rules = [] -%}
{%- for key in keys + unique -%}
    {%- set columns = key if key is string else key | join(', ') -%}
    {%- do rules.append((columns ~ ' repeats', '(select count(*) from (select 1 as one from ' ~ rows ~ ' group by ' ~ columns ~ ' having count(*) > 1) as repeated)')) -%}
{%- endfor -%}
{%- for key in keys -%}
    {%- do never_null.extend([key] if key is string else key) -%}
{%- endfor -%}
{%- for column in (never_null + not_null) | unique -%}
    {%- do rules.append((column ~ ' is null', 'sum(case when ' ~ column ~ ' is null then 1 else 0 end)')) -%}
{%- endfor -%}
{%- for column, values in accepted_values.items() -%}
    {%- do rules.append((column ~ ' is none of ' ~ values | join(', '), 'sum(case when ' ~ column ~ " not in ('" ~ values | join("', '") ~ "') then 1 else 0 end)")) -%}
{%- endfor -%}
{%- if row_count_of -%}
    {%- do rules.append(('rows more or fewer than in ' ~ row_count_of.identifier, 'abs(count(*) - (select count(*) from ' ~ row_count_of ~ ' where ' ~ row_count_where ~ '))')) -%}
{%- endif -%}
with rows_of_view as (
    select * from {{ checked }}
),
counts as (
    select
        {% for rule, count in rules %}
        {{ count }} as count_{{ loop.index }}{{ ',' if not loop.last }}
        {% endfor %}
    from {{ rows }}
),
broken as (
    select
        concat_ws(
            '; '
            {% for rule, count in rules %}
            , case when count_{{ loop.index }} > 0 then concat('{{ rule | replace("'", "''") }}: ', count_{{ loop.index }}) end
            {% endfor %}
        ) as broken_rules
    from counts
)
select broken_rules
from broken
where broken_rules <> ''
{% endtest %}
