-- What an operator has made a circuit breaker do, whatever the calls say: every replica reads it about every half second, and
-- again when it starts. No row: the calls decide. Who decided what before stands in operator_actions.

create table breakers (
    -- As the gates of the service are named: a provider, or another system, and what is asked of it.
    system    text        not null,
    operation text        not null,
    forced    text        not null check (forced in ('open', 'closed')),
    -- The name of the token.
    who       text        not null,
    reason    text        not null,
    at        timestamptz not null,
    primary key (system, operation)
);
