-- What a fact says, apart from how it was written: the digest of the report that its body was read as.
--
-- Providers repeat a message under its id with a count of their attempts in it, and lists give the same item with its fields in another
-- order. Such a body says the same as the first and is no conflict. Null: what the fact says was not understood, or an older version
-- stored it; then only the same bytes are the same.
alter table inbox add column meaning bytea;
