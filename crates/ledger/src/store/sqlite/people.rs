//! Users and API keys in the file. Files of before have no such tables.

use std::net::IpAddr;

use gateway_policy::{Fingerprint, Timestamp};
use rusqlite::{Connection, Row, Transaction, params};
use serde::{Deserialize, Serialize};

use super::{json, rows, text};
use crate::{Account, Change, KnownKey, Person, Trail};

pub(super) const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS persons (
        user TEXT PRIMARY KEY, record TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS api_keys (
        fingerprint TEXT PRIMARY KEY, record TEXT NOT NULL
    ) WITHOUT ROWID;
";

/// A user, as the file has it.
#[derive(Deserialize, Serialize)]
struct Known {
    account: Option<u64>,
    homes: Vec<(String, i64)>,
}

/// A key, as the file has it.
#[derive(Deserialize, Serialize)]
struct Kept {
    user: Option<String>,
    first: i64,
    calls: u64,
    seen: i64,
    address: IpAddr,
    places: Vec<String>,
}

pub(super) fn read(connection: &Connection) -> rusqlite::Result<Vec<Change>> {
    let mut all = Vec::new();
    if connection.table_exists(None, "persons")? {
        all.extend(rows(connection, "SELECT * FROM persons", person)?);
    }
    if connection.table_exists(None, "api_keys")? {
        all.extend(rows(connection, "SELECT * FROM api_keys", api_key)?);
        // Who was asked for last is forgotten last.
        all.sort_by_key(|it| match it {
            Change::ApiKey(_, Some(key)) => key.trail.seen,
            _ => Timestamp(i64::MIN),
        });
    }
    Ok(all)
}

fn person(row: &Row<'_>) -> rusqlite::Result<Option<Change>> {
    let (user, record) = (text(row, "user")?, text(row, "record")?);
    let known: Option<Known> = serde_json::from_str(&record).ok();
    Ok(known.map(|Known { account, homes }| {
        let homes = homes.into_iter().map(|(place, at)| (place, Timestamp(at))).collect();
        Change::Person(user, Some(Person { account: account.map(Account), homes }))
    }))
}

fn api_key(row: &Row<'_>) -> rusqlite::Result<Option<Change>> {
    let (fingerprint, record) = (text(row, "fingerprint")?, text(row, "record")?);
    let understood = || {
        let fingerprint: Fingerprint = fingerprint.parse().ok()?;
        let kept: Kept = serde_json::from_str(&record).ok()?;
        let Kept { user, first, calls, seen, address, places } = kept;
        let trail = Trail { seen: Timestamp(seen), address, places };
        let key = KnownKey { user, first: Timestamp(first), calls, trail };
        Some(Change::ApiKey(fingerprint, Some(key)))
    };
    Ok(understood())
}

pub(super) fn write_person(
    transaction: &Transaction<'_>,
    user: &str,
    person: Option<&Person>,
) -> rusqlite::Result<()> {
    let done = match person {
        None => transaction.execute("DELETE FROM persons WHERE user = ?", [user]),
        Some(Person { account, homes }) => {
            let homes = homes.iter().map(|(place, at)| (place.clone(), at.0)).collect();
            let record = json(&Known { account: account.map(|it| it.0), homes });
            transaction
                .execute("INSERT OR REPLACE INTO persons VALUES (?, ?)", params![user, record])
        }
    };
    done.map(|_| ())
}

pub(super) fn write_api_key(
    transaction: &Transaction<'_>,
    fingerprint: Fingerprint,
    key: Option<&KnownKey>,
) -> rusqlite::Result<()> {
    let name = fingerprint.to_string();
    let done = match key {
        None => transaction.execute("DELETE FROM api_keys WHERE fingerprint = ?", [name]),
        Some(KnownKey { user, first, calls, trail }) => {
            let Trail { seen, address, places } = trail.clone();
            let (user, calls) = (user.clone(), *calls);
            let kept = Kept { user, first: first.0, calls, seen: seen.0, address, places };
            transaction.execute(
                "INSERT OR REPLACE INTO api_keys VALUES (?, ?)",
                params![name, json(&kept)],
            )
        }
    };
    done.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::{super::Sqlite, *};
    use crate::Store;

    #[test]
    fn users_and_keys_are_read_again_and_an_older_file_has_none() {
        let folder = tempfile::tempdir().unwrap();
        let trail = Trail {
            seen: Timestamp(2),
            address: "2001:db8::1".parse().unwrap(),
            places: vec!["AS64496".to_owned()],
        };
        let key = KnownKey { user: Some("u".to_owned()), first: Timestamp(1), calls: 7, trail };
        let homes = vec![("192.0.2.0/24".to_owned(), Timestamp(5))];
        let all = vec![
            Change::Person(
                "u".to_owned(),
                Some(Person { account: Some(Account(u64::MAX)), homes }),
            ),
            Change::ApiKey(Fingerprint([9; 32]), Some(key)),
        ];
        Sqlite::in_folder(folder.path()).write(&[]).unwrap();
        let path = folder.path().join("state.db");
        let drop_tables = "DROP TABLE persons; DROP TABLE api_keys;";
        Connection::open(path).unwrap().execute_batch(drop_tables).unwrap();
        assert_eq!(Sqlite::in_folder(folder.path()).load().unwrap(), []);
        let mut store = Sqlite::in_folder(folder.path());
        store.write(&all).unwrap();
        assert_eq!(store.load().unwrap(), all);
        let gone =
            [Change::Person("u".to_owned(), None), Change::ApiKey(Fingerprint([9; 32]), None)];
        store.write(&gone).unwrap();
        assert_eq!(store.load().unwrap(), []);
    }
}
