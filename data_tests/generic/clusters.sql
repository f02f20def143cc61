{# R13, R27: all rows of each affected cluster were found, so nothing outside belongs to it. #}
{% test clusters_are_whole(model) %}
select
    row_id - cluster_position as first_row_id,
    cluster_size
from {{ model }}
group by row_id - cluster_position, cluster_size
having count(*) <> cluster_size
{% endtest %}

{#
R13: no identifier is in two clusters, so a cluster holds everything that is tied to it. Only full builds run it, as it checks all
clusters: other builds take clusters over as they were, and whole.
#}
{% test clusters_are_complete(model) %}
-- Buckets find the few identifiers that may be in several clusters; only their keys are read. A cluster is known by where it begins.
with of_several_clusters as (
    select identifier_bucket
    from {{ model }}
    group by identifier_bucket
    having min({{ row_id() }} - cluster_position) <> max({{ row_id() }} - cluster_position)
)
select identifier_key
from {{ model }}
where identifier_bucket in (select identifier_bucket from of_several_clusters)
group by identifier_key
having min({{ row_id() }} - cluster_position) <> max({{ row_id() }} - cluster_position)
{% endtest %}
