//! Windows in the file. Files of before have no such table.

use gateway_n8n::Surface;
use gateway_policy::{Timestamp, Window};
use ipnet::IpNet;
use rusqlite::{Connection, Row, Transaction, params};

use super::{rows, text};
use crate::Change;

pub(super) const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS windows (
        id INTEGER PRIMARY KEY, surface TEXT NOT NULL, net TEXT NOT NULL, until INTEGER NOT NULL,
        who TEXT NOT NULL, why TEXT NOT NULL
    );
";

pub(super) fn read(connection: &Connection) -> rusqlite::Result<Vec<Change>> {
    if !connection.table_exists(None, "windows")? {
        return Ok(Vec::new());
    }
    rows(connection, "SELECT * FROM windows", window)
}

fn window(row: &Row<'_>) -> rusqlite::Result<Option<Change>> {
    let id: i64 = row.get("id")?;
    let (surface, net) = (text(row, "surface")?, text(row, "net")?);
    let (by, why, until) = (text(row, "who")?, text(row, "why")?, Timestamp(row.get("until")?));
    let understood = || {
        let (id, surface): (u64, _) = (id.try_into().ok()?, Surface::named(&surface)?);
        let net: IpNet = net.parse().ok()?;
        Some(Change::Window(id, Some(Window { id, surface, net, until, by, why })))
    };
    Ok(understood())
}

pub(super) fn write(
    transaction: &Transaction<'_>,
    id: u64,
    window: Option<&Window>,
) -> rusqlite::Result<()> {
    let id = i64::try_from(id).unwrap_or(i64::MAX);
    let run = |statement: &str, values: &[&dyn rusqlite::ToSql]| {
        transaction.prepare(statement)?.execute(values).map(|_| ())
    };
    match window {
        None => run("DELETE FROM windows WHERE id = ?", params![id]),
        Some(Window { surface, net, until, by, why, .. }) => run(
            "INSERT OR REPLACE INTO windows VALUES (?, ?, ?, ?, ?, ?)",
            params![id, surface.name(), net.to_string(), until.0, by, why],
        ),
    }
}
