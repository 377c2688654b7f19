//! A dump of the cell, and its restoration as another server would have it: what was committed since is lost.

use super::TestApp;

impl TestApp {
    /// Keeps the rows of every table as they are now. The dump before is dropped.
    pub async fn dump(&self) {
        self.by_hand(
            r"do $$
            declare
                dump name := current_schema() || '_dump';
                kept name;
                has_rows bool;
            begin
                execute format('drop schema if exists %I cascade', dump);
                execute format('create schema %I', dump);
                for kept in select tablename from pg_tables where schemaname = current_schema() loop
                    execute format('select exists (select from %I)', kept) into has_rows;
                    if has_rows then
                        execute format('create unlogged table %I.%I as table %I', dump, kept, kept);
                    end if;
                end loop;
            end $$",
        )
        .await;
    }

    /// Puts every table back as [`TestApp::dump`] kept it, on what passes for a server that started later.
    pub async fn restore(&self) {
        self.by_hand(
            r"do $$
            declare
                dump name := current_schema() || '_dump';
                kept name;
            begin
                -- As pg_restore has it: without triggers.
                set local session_replication_role = replica;
                for kept in select tablename from pg_tables where schemaname = current_schema() loop
                    execute format('delete from %I', kept);
                end loop;
                for kept in select tablename from pg_tables where schemaname = dump loop
                    execute format('insert into %I overriding system value select * from %I.%I', kept, dump, kept);
                end loop;
                delete from database_starts;
                update event_head set server_started_at = server_started_at - interval '1 day';
            end $$",
        )
        .await;
    }

    async fn by_hand(&self, sql: &'static str) {
        sqlx::raw_sql(sql).execute(&self.pool).await.unwrap();
    }
}
