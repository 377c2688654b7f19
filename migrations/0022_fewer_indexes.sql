-- One index less to write for every fact that comes. Facts of an opening are few, and `inbox_of_opening` finds them all; those that
-- still wait are told apart by their row. A version that looks for it finds its facts by that index too.
drop index if exists inbox_pending_of_opening;
