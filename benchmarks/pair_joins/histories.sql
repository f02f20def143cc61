create view intermediate.histories as
select * from intermediate.pairs
where touch_rank > touch_count - getvariable('history_touch_limit');
