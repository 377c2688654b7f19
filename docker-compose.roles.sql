-- The two roles of the sandbox in docker-compose.yml, made when its database is: the owner's, as which the migrations run,
-- and the service's, which owns nothing. The passwords are development values, known to everybody who has this file.
create role account_opening_owner login password 'development-only';
create role account_opening_service login password 'development-only';
alter database account_opening owner to account_opening_owner;
