//! Signed messages that were taken, in the file: of each no more than its fingerprint. Files of before
//! have no such table.

use gateway_policy::Timestamp;
use rusqlite::{Connection, Row, Transaction, params};

use super::{rows, text};
use crate::{Change, Message};

pub(super) const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS messages (
        webhook TEXT NOT NULL, fingerprint BLOB NOT NULL, until INTEGER NOT NULL,
        PRIMARY KEY (webhook, fingerprint)
    ) WITHOUT ROWID;
";

pub(super) fn read(connection: &Connection) -> rusqlite::Result<Vec<Change>> {
    if !connection.table_exists(None, "messages")? {
        return Ok(Vec::new());
    }
    rows(connection, "SELECT * FROM messages ORDER BY until", message)
}

fn message(row: &Row<'_>) -> rusqlite::Result<Option<Change>> {
    let (webhook, until) = (text(row, "webhook")?, Timestamp(row.get("until")?));
    let fingerprint: Vec<u8> = row.get("fingerprint")?;
    let fingerprint: Option<[u8; 16]> = fingerprint.try_into().ok();
    Ok(fingerprint.map(|it| Change::Message((webhook.into(), it), Some(until))))
}

pub(super) fn write(
    transaction: &Transaction<'_>,
    (webhook, fingerprint): &Message,
    until: Option<Timestamp>,
) -> rusqlite::Result<()> {
    let (webhook, fingerprint) = (&**webhook, &fingerprint[..]);
    let run = |statement: &str, values: &[&dyn rusqlite::ToSql]| {
        transaction.prepare(statement)?.execute(values).map(|_| ())
    };
    match until {
        None => run(
            "DELETE FROM messages WHERE webhook = ? AND fingerprint = ?",
            params![webhook, fingerprint],
        ),
        Some(until) => run(
            "INSERT OR REPLACE INTO messages VALUES (?, ?, ?)",
            params![webhook, fingerprint, until.0],
        ),
    }
}
