-- Two indexes served sweeps for versions that were never released: facts that such a version could not read, and timers that it
-- wrote without `asks` and `urgent_from`.
drop index inbox_buried;
drop index timers_unfilled;
