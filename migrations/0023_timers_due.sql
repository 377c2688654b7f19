-- Claims go by their lines since 0016, and the version that claimed by this index is no neighbour any more. Each move of a timer
-- wrote to it, and with it gone no index but a provider's own line can serve a claim of polls.
drop index if exists timers_due;
