-- Counts what stood before 0019, once. It reads every opening while others write.

select count_openings();
