-- What the marts were made of. One row.
select
    cast({{ generation }} as bigint) as generation,
    cast({{ build_id }} as varchar) as build_id,
    cast({{ built_at }} as timestamptz) as built_at,
    (select data_through from staging.stg_data_through) as data_through,
    cast({{ load_ids }} as bigint[]) as load_ids,
    cast({{ fingerprint }} as varchar) as fingerprint,
    cast({{ settings }} as json) as settings,
    cast({{ row_counts }} as json) as row_counts,
    cast({{ changes }} as json) as changes,
    cast({{ ordered_bytes }} as bigint) as ordered_bytes
