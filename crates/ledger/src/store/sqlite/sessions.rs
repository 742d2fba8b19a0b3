//! Sessions and ends of sessions in the file. Files of before have no such tables.

use gateway_policy::Timestamp;
use rusqlite::{Connection, Row, Transaction, params};

use super::{json, rows, text};
use crate::{Account, Change, Ended, Sitting, Trail};

pub(super) const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS sessions (
        token INTEGER PRIMARY KEY, user TEXT NOT NULL, account INTEGER, line INTEGER NOT NULL,
        began INTEGER NOT NULL, seen INTEGER NOT NULL, ends INTEGER NOT NULL, address TEXT NOT NULL,
        places TEXT NOT NULL
    );
    CREATE TABLE IF NOT EXISTS ended (
        kind TEXT NOT NULL, which TEXT NOT NULL, until INTEGER NOT NULL, PRIMARY KEY (kind, which)
    ) WITHOUT ROWID;
";

/// SQLite's numbers are signed.
fn signed(number: u64) -> i64 {
    i64::from_ne_bytes(number.to_ne_bytes())
}

fn unsigned(number: i64) -> u64 {
    u64::from_ne_bytes(number.to_ne_bytes())
}

pub(super) fn read(connection: &Connection) -> rusqlite::Result<Vec<Change>> {
    let there = "SELECT count(*) FROM sqlite_master WHERE name IN ('sessions', 'ended')";
    let tables: i64 = connection.query_row(there, [], |row| row.get(0))?;
    if tables < 2 {
        return Ok(Vec::new());
    }
    let mut all = rows(connection, "SELECT * FROM sessions ORDER BY seen", session)?;
    all.extend(rows(connection, "SELECT * FROM ended", ended)?);
    Ok(all)
}

fn session(row: &Row<'_>) -> rusqlite::Result<Option<Change>> {
    let (address, places) = (text(row, "address")?, text(row, "places")?);
    let account: Option<i64> = row.get("account")?;
    let at = |name: &str| row.get(name).map(Timestamp);
    let (user, line) = (text(row, "user")?, unsigned(row.get("line")?));
    let (began, seen, ends) = (at("began")?, at("seen")?, at("ends")?);
    let token = unsigned(row.get("token")?);
    let account = account.map(|it| Account(unsigned(it)));
    let understood = || {
        let address = address.parse().ok()?;
        let places = serde_json::from_str(&places).unwrap_or_default();
        let trail = Trail { seen, address, places };
        let sitting = Sitting { user, account, line, began, ends, trail };
        Some(Change::Session(token, Some(sitting)))
    };
    Ok(understood())
}

fn ended(row: &Row<'_>) -> rusqlite::Result<Option<Change>> {
    let (kind, which) = (text(row, "kind")?, text(row, "which")?);
    let until = Timestamp(row.get("until")?);
    let ended = match kind.as_str() {
        "one" => which.parse().ok().map(Ended::One),
        "user" => Some(Ended::User(which)),
        "all" => Some(Ended::All),
        _ => None,
    };
    Ok(ended.map(|ended| Change::Ended(ended, Some(until))))
}

fn named(ended: &Ended) -> (&'static str, String) {
    match ended {
        Ended::One(token) => ("one", token.to_string()),
        Ended::User(user) => ("user", user.clone()),
        Ended::All => ("all", String::new()),
    }
}

pub(super) fn write_session(
    transaction: &Transaction<'_>,
    token: u64,
    sitting: Option<&Sitting>,
) -> rusqlite::Result<()> {
    let token = signed(token);
    let Some(Sitting { user, account, line, began, ends, trail }) = sitting else {
        return transaction.execute("DELETE FROM sessions WHERE token = ?", [token]).map(|_| ());
    };
    let (account, line) = (account.map(|it| signed(it.0)), signed(*line));
    let Trail { seen, address, places } = trail;
    let (address, places) = (address.to_string(), json(places));
    let values = params![token, user, account, line, began.0, seen.0, ends.0, address, places];
    let insert = "INSERT OR REPLACE INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
    transaction.prepare(insert)?.execute(values).map(|_| ())
}

pub(super) fn write_ended(
    transaction: &Transaction<'_>,
    ended: &Ended,
    until: Option<Timestamp>,
) -> rusqlite::Result<()> {
    let (kind, which) = named(ended);
    let done = match until {
        Some(until) => transaction.execute(
            "INSERT OR REPLACE INTO ended VALUES (?, ?, ?)",
            params![kind, which, until.0],
        ),
        None => transaction
            .execute("DELETE FROM ended WHERE kind = ? AND which = ?", params![kind, which]),
    };
    done.map(|_| ())
}

#[cfg(test)]
mod tests {
    use gateway_policy::Timestamp;

    use super::super::Sqlite;
    use crate::{Account, Change, Ended, Sitting, Store, Trail};

    #[test]
    fn sessions_and_ends_are_read_again_and_an_older_file_has_none() {
        let folder = tempfile::tempdir().unwrap();
        let sitting = Sitting {
            user: "u".to_owned(),
            account: Some(Account(u64::MAX)),
            line: u64::MAX - 1,
            began: Timestamp(1),
            ends: Timestamp(3),
            trail: Trail {
                seen: Timestamp(2),
                address: "2001:db8::1".parse().unwrap(),
                places: vec!["AS64496".to_owned()],
            },
        };
        let all = vec![
            Change::Session(u64::MAX, Some(sitting)),
            Change::Ended(Ended::All, Some(Timestamp(4))),
            Change::Ended(Ended::One(u64::MAX), Some(Timestamp(5))),
            Change::Ended(Ended::User("u".to_owned()), Some(Timestamp(6))),
        ];
        let path = folder.path().join("state.db");
        Sqlite::in_folder(folder.path()).write(&[]).unwrap();
        let drop_tables = "DROP TABLE sessions; DROP TABLE ended;";
        rusqlite::Connection::open(&path).unwrap().execute_batch(drop_tables).unwrap();
        assert_eq!(Sqlite::in_folder(folder.path()).load().unwrap(), []);
        let mut store = Sqlite::in_folder(folder.path());
        store.write(&all).unwrap();
        assert_eq!(store.load().unwrap(), all);
        let gone = all.into_iter().map(|change| match change {
            Change::Session(token, _) => Change::Session(token, None),
            Change::Ended(ended, _) => Change::Ended(ended, None),
            other => other,
        });
        store.write(&gone.collect::<Vec<_>>()).unwrap();
        assert_eq!(store.load().unwrap(), []);
    }
}
