//! The embedded queue: one SQLite file, shared by every process of one machine that works on a run.
//!
//! A row is kept as JSON (see [`Row`]); beside it stand the columns that are searched and added up. The journals of
//! the rollouts are the truth: after a loss of power the last few commits here may be missing (`synchronous =
//! NORMAL`), never an older one, and the file is never torn.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use trajforge_schema::{MicroDollars, RolloutId, Timestamp, Tokens};

use super::{Completion, Counts, Lease, Queue, Release, Released, Row, RowState};
use crate::error::{Error, Result};
use crate::plan::Planned;

/// The version of the tables below.
const FORMAT: i64 = 1;
/// How long one process waits for another's transaction.
const BUSY: Duration = Duration::from_secs(20);

const TABLES: &str = "
CREATE TABLE rollout (
    place     INTEGER PRIMARY KEY,  -- the order of the plan
    id        TEXT NOT NULL UNIQUE,
    priority  INTEGER NOT NULL,     -- higher ones come first
    state     TEXT NOT NULL,        -- waiting, leased, success, partial, failure, error
    due       INTEGER NOT NULL,     -- waiting: not before; leased: until; else 0 (milliseconds since 1970)
    lost      INTEGER NOT NULL,     -- tries that failed or were lost
    cost      INTEGER NOT NULL,     -- micro-dollars
    tokens    INTEGER NOT NULL,
    row       TEXT NOT NULL         -- everything, as JSON
) STRICT;
CREATE INDEX next ON rollout (state, priority DESC, place);
";

/// What a transaction is for. Those that read wait for nobody; those that write stand in line from their beginning.
#[derive(Debug, Clone, Copy)]
enum Access {
    Read,
    Write,
}

/// A queue in a SQLite file.
#[derive(Debug, Clone)]
pub struct SqliteQueue {
    database: Arc<Database>,
}

#[derive(Debug)]
struct Database {
    connection: Mutex<Connection>,
    path: PathBuf,
    max_tries: u32,
}

impl SqliteQueue {
    /// Opens the queue, and makes it where there is none; a rollout is settled as an error after `max_tries` tries
    /// that failed or were lost. Blocks for as long as the disk takes.
    pub fn open(path: &Path, max_tries: u32) -> Result<Self> {
        let failed = |source| Error::Database { action: "open", path: path.to_owned(), source };
        let mut connection = Connection::open(path).map_err(failed)?;
        prepare(&mut connection).map_err(failed)?;
        let found = format_of(&mut connection).map_err(failed)?;
        if found > FORMAT {
            return Err(Error::Newer { path: path.to_owned(), found, known: FORMAT });
        }
        let database = Database { connection: Mutex::new(connection), path: path.to_owned(), max_tries };
        Ok(Self { database: Arc::new(database) })
    }

    /// Runs `work` in one transaction, on a thread that may block.
    async fn transact<T, F>(&self, access: Access, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Rows<'_>) -> Result<T> + Send + 'static,
    {
        let database = Arc::clone(&self.database);
        let blocking = tokio::task::spawn_blocking(move || {
            let (action, behavior) = match access {
                Access::Read => ("read", TransactionBehavior::Deferred),
                Access::Write => ("write", TransactionBehavior::Immediate),
            };
            let failed = |source| Error::Database { action, path: database.path.clone(), source };
            // A panic rolls its transaction back, so the connection stays usable.
            let mut connection = database.connection.lock().unwrap_or_else(PoisonError::into_inner);
            let transaction = connection.transaction_with_behavior(behavior).map_err(failed)?;
            let rows = Rows { transaction: &transaction, database: &database, action };
            let result = work(&rows)?;
            transaction.commit().map_err(failed)?;
            Ok(result)
        });
        blocking.await.unwrap_or(Err(Error::Stopping))
    }
}

fn prepare(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")
}

/// The format of the database, after the tables have been made where there were none.
fn format_of(connection: &mut Connection) -> rusqlite::Result<i64> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version = |transaction: &Transaction<'_>| {
        transaction.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))
    };
    if version(&transaction)? == 0 {
        transaction.execute_batch(TABLES)?;
        transaction.pragma_update(None, "user_version", FORMAT)?;
    }
    let found = version(&transaction)?;
    transaction.commit()?;
    Ok(found)
}

/// The rows, inside a transaction.
struct Rows<'a> {
    transaction: &'a Transaction<'a>,
    database: &'a Database,
    action: &'static str,
}

impl Rows<'_> {
    fn failed(&self, source: rusqlite::Error) -> Error {
        Error::Database { action: self.action, path: self.database.path.clone(), source }
    }

    fn parsed(&self, id: &str, json: &str) -> Result<Row> {
        serde_json::from_str(json).map_err(|source| Error::Row {
            path: self.database.path.clone(),
            rollout: id.to_owned(),
            source,
        })
    }

    /// The rows that a query for `id, row` finds.
    fn select(&self, query: &str, values: impl rusqlite::Params) -> Result<Vec<Row>> {
        let failed = |source| self.failed(source);
        let mut statement = self.transaction.prepare_cached(query).map_err(failed)?;
        let mut found = statement.query(values).map_err(failed)?;
        let mut rows = Vec::new();
        while let Some(row) = found.next().map_err(failed)? {
            let id: String = row.get(0).map_err(failed)?;
            let json: String = row.get(1).map_err(failed)?;
            rows.push(self.parsed(&id, &json)?);
        }
        Ok(rows)
    }

    fn of_lease(&self, lease: &Lease) -> Result<Row> {
        let rows = self.select("SELECT id, row FROM rollout WHERE id = ?1", [lease.spec.id.as_str()])?;
        rows.into_iter().next().ok_or_else(|| Error::LeaseLost { rollout: lease.spec.id.clone() })
    }

    /// Adds a row, or nothing if its id is there.
    fn insert(&self, row: &Row) -> Result<bool> {
        let columns = Columns::of(row);
        let changed = self
            .transaction
            .prepare_cached(
                "INSERT INTO rollout (id, priority, state, due, lost, cost, tokens, row)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (id) DO NOTHING",
            )
            .and_then(|mut statement| {
                statement.execute(params![
                    row.spec.id.as_str(),
                    row.priority,
                    columns.state,
                    columns.due,
                    columns.lost,
                    columns.cost,
                    columns.tokens,
                    columns.row,
                ])
            })
            .map_err(|source| self.failed(source))?;
        Ok(changed > 0)
    }

    fn update(&self, row: &Row) -> Result<()> {
        let columns = Columns::of(row);
        self.transaction
            .prepare_cached(
                "UPDATE rollout SET state = ?2, due = ?3, lost = ?4, cost = ?5, tokens = ?6, row = ?7
                 WHERE id = ?1",
            )
            .and_then(|mut statement| {
                statement.execute(params![
                    row.spec.id.as_str(),
                    columns.state,
                    columns.due,
                    columns.lost,
                    columns.cost,
                    columns.tokens,
                    columns.row,
                ])
            })
            .map_err(|source| self.failed(source))?;
        Ok(())
    }

    fn counts(&self, now: Timestamp) -> rusqlite::Result<Counts> {
        let mut statement = self.transaction.prepare_cached(
            "SELECT CASE WHEN state = 'leased' AND due <= ?1 THEN 'waiting' ELSE state END AS standing,
                    count(*), sum(lost), sum(cost), sum(tokens)
             FROM rollout GROUP BY standing",
        )?;
        let mut groups = statement.query([signed(now.0)])?;
        let mut counts = Counts::default();
        while let Some(group) = groups.next()? {
            let number = |column| group.get::<_, i64>(column).map(unsigned);
            let count = number(1)?;
            match group.get_ref(0)?.as_str()? {
                "waiting" => counts.waiting = count,
                "leased" => counts.leased = count,
                "success" => counts.success = count,
                "partial" => counts.partial = count,
                "failure" => counts.failure = count,
                _ => counts.error = count,
            }
            counts.planned += count;
            counts.retried += number(2)?;
            counts.cost += MicroDollars(number(3)?);
            counts.tokens += Tokens(number(4)?);
        }
        Ok(counts)
    }
}

/// What stands beside a row's JSON.
struct Columns {
    state: &'static str,
    due: i64,
    lost: i64,
    cost: i64,
    tokens: i64,
    row: String,
}

impl Columns {
    fn of(row: &Row) -> Self {
        let (state, due) = match &row.state {
            RowState::Waiting { not_before } => ("waiting", not_before.0),
            RowState::Leased { expires, .. } => ("leased", expires.0),
            RowState::Done { completion } => (completion.outcome.as_str(), 0),
        };
        let completion = row.completion();
        Self {
            state,
            due: signed(due),
            lost: signed(row.lost.len() as u64),
            cost: signed(completion.and_then(|done| done.cost).unwrap_or_default().0),
            tokens: signed(completion.map_or(0, |done| done.tokens.0)),
            row: serde_json::to_string(row).expect("a row is plain data with string keys"),
        }
    }
}

/// SQLite's integers are signed; nothing here comes near the limit.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

#[async_trait]
impl Queue for SqliteQueue {
    async fn submit(&self, rollouts: Vec<Planned>) -> Result<u64> {
        self.transact(Access::Write, move |rows| {
            let mut added = 0;
            for planned in rollouts {
                added += u64::from(rows.insert(&Row::new(planned))?);
            }
            Ok(added)
        })
        .await
    }

    async fn lease(&self, worker: &str, now: Timestamp, ttl: Duration) -> Result<Option<Lease>> {
        let worker = worker.to_owned();
        self.transact(Access::Write, move |rows| {
            let expired = "SELECT id, row FROM rollout WHERE state = 'leased' AND due <= ?1";
            for mut row in rows.select(expired, [signed(now.0)])? {
                row.expire(now, rows.database.max_tries);
                rows.update(&row)?;
            }
            let next = "SELECT id, row FROM rollout WHERE state = 'waiting' AND due <= ?1
                        ORDER BY priority DESC, place LIMIT 1";
            let Some(mut row) = rows.select(next, [signed(now.0)])?.pop() else {
                return Ok(None);
            };
            let lease = row.take(&worker, now, ttl);
            rows.update(&row)?;
            Ok(Some(lease))
        })
        .await
    }

    async fn heartbeat(&self, lease: &Lease, now: Timestamp, ttl: Duration) -> Result<()> {
        let lease = lease.clone();
        self.transact(Access::Write, move |rows| {
            let mut row = rows.of_lease(&lease)?;
            row.keep(&lease, now, ttl)?;
            rows.update(&row)
        })
        .await
    }

    async fn complete(&self, lease: &Lease, completion: Completion) -> Result<()> {
        let lease = lease.clone();
        self.transact(Access::Write, move |rows| {
            let mut row = rows.of_lease(&lease)?;
            row.complete(&lease, completion)?;
            rows.update(&row)
        })
        .await
    }

    async fn release(&self, lease: &Lease, release: Release, now: Timestamp) -> Result<Released> {
        let lease = lease.clone();
        self.transact(Access::Write, move |rows| {
            let mut row = rows.of_lease(&lease)?;
            let released = row.release(&lease, release, now, rows.database.max_tries)?;
            rows.update(&row)?;
            Ok(released)
        })
        .await
    }

    async fn reclaim(&self) -> Result<u64> {
        self.transact(Access::Write, move |rows| {
            let leased = rows.select("SELECT id, row FROM rollout WHERE state = 'leased'", [])?;
            let count = leased.len() as u64;
            for mut row in leased {
                row.reclaim();
                rows.update(&row)?;
            }
            Ok(count)
        })
        .await
    }

    async fn reopen(&self, rollouts: &[RolloutId]) -> Result<u64> {
        let rollouts = rollouts.to_vec();
        self.transact(Access::Write, move |rows| {
            let mut reopened = 0;
            for id in &rollouts {
                let errors = "SELECT id, row FROM rollout WHERE id = ?1 AND state = 'error'";
                for mut row in rows.select(errors, [id.as_str()])? {
                    reopened += u64::from(row.reopen());
                    rows.update(&row)?;
                }
            }
            Ok(reopened)
        })
        .await
    }

    async fn counts(&self, now: Timestamp) -> Result<Counts> {
        self.transact(Access::Read, move |rows| rows.counts(now).map_err(|source| rows.failed(source))).await
    }

    async fn rows(&self) -> Result<Vec<Row>> {
        self.transact(Access::Read, |rows| rows.select("SELECT id, row FROM rollout ORDER BY place", []))
            .await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tempfile::TempDir;

    use super::*;
    use crate::queue::conformance::{Backend, conformance};

    struct Files(TempDir);

    impl Backend for Files {
        fn new() -> Self {
            Self(TempDir::new().unwrap())
        }

        fn open(&self, max_tries: u32) -> Arc<dyn Queue> {
            Arc::new(SqliteQueue::open(&self.0.path().join("queue.sqlite"), max_tries).unwrap())
        }
    }

    conformance!(Files);

    #[test]
    fn a_queue_of_a_later_version_is_refused_by_name() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("queue.sqlite");
        drop(SqliteQueue::open(&path, 3).unwrap());
        let connection = Connection::open(&path).unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        let error = SqliteQueue::open(&path, 3).unwrap_err();
        assert!(matches!(error, Error::Newer { found: 99, .. }), "{error}");
    }

    #[test]
    fn a_file_that_is_no_database_is_refused_with_a_hint() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("queue.sqlite");
        std::fs::write(&path, "not a database, but long enough to look at: ".repeat(100)).unwrap();
        let error = SqliteQueue::open(&path, 3).unwrap_err();
        assert!(error.hint().unwrap().contains("move the file away"), "{error}");
    }
}
