-- Since when a provider says that an account is open without saying which: its look-up is then repeated sooner than scheduled.
alter table timers add column account_due_since timestamptz;
