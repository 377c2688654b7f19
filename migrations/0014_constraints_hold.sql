-- Looks whether what stood before keeps the constraints of 0007 and 0013. It reads the tables while others write to them.

alter table outbox validate constraint outbox_topic_check;
alter table account_openings validate constraint iban_exactly_when_succeeded;
alter table account_openings validate constraint erased_only_when_ended;
alter table account_openings validate constraint erased_holds_nothing;
alter table inbox validate constraint erased_facts_hold_nothing;
