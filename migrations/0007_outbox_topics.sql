-- Two new kinds of work: the legacy call that blocks until the bank has decided, and a ticket at somebody else's tracker.
--
-- A version that does not know a topic never claims it, so both versions can run beside each other. The constraint holds for
-- what is written from now on; 0014 looks at what stands, without holding anybody up.

alter table outbox drop constraint outbox_topic_check;
alter table outbox add constraint outbox_topic_check check (topic in
    ('create_profile', 'submit_request', 'open_account', 'issue_card', 'deliver_event', 'open_ticket', 'close_ticket'))
    not valid;
