{#
The columns that identify a row: unique together, and never null, except `optional_columns`, in which null is a value like any other.
One test checks both, as each test costs time in every build. For a mart that accumulates, `affected_by` names the column that says
which rows this build replaced: those of `affected_contacts`.
#}
{% test key(model, column_name=none, columns=none, optional_columns=[], affected_by=none, affected_contacts=none) %}
{% set columns = columns or [column_name] %}
select {{ (columns + optional_columns) | join(', ') }}
from {{ model }}
where {{ is_affected(affected_by, affected_contacts) }}
group by {{ (columns + optional_columns) | join(', ') }}
having count(*) > 1 or {{ columns | join(' is null or ') }} is null
{% endtest %}

{# Columns that are never null. #}
{% test complete(model, columns, affected_by=none, affected_contacts=none) %}
select {{ columns | join(', ') }}
from (
    select *
    from {{ model }}
    where {{ is_affected(affected_by, affected_contacts) }}
) as rows_of_model
where {{ columns | join(' is null or ') }} is null
{% endtest %}

{# No row is lost or doubled between two layers. #}
{% test same_row_count(model, to, condition='true', affected_by=none, affected_contacts=none) %}
select counts.*
from (
    select
        (select count(*) from {{ model }} where {{ is_affected(affected_by, affected_contacts) }}) as row_count,
        (select count(*) from {{ to }} where {{ condition }}) as expected_row_count
) as counts
where counts.row_count <> counts.expected_row_count
{% endtest %}
