//! A store in one file, by SQLite: it has outlived more power failures than anything we could
//! write.

mod messages;
mod people;
mod sessions;
mod windows;

use std::{
    collections::VecDeque,
    fs,
    path::{Path, PathBuf},
};

use gateway_n8n::Surface;
use gateway_policy::{Ban, Jail, Note, Offence, Past, Timestamp};
use ipnet::IpNet;
use rusqlite::{Connection, ErrorCode, OpenFlags, Row, Transaction, params};
use serde::{Deserialize, Serialize};

use super::{Change, Store, StoreError};
use crate::{Account, Banned, ByHand, Visitor, Webhook};

/// A file of SQLite's. It is opened when it is needed, and again after a failure.
#[derive(Debug)]
pub struct Sqlite {
    path: PathBuf,
    connection: Option<Connection>,
}

/// The first form of the file.
const FORM: i64 = 1;

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS bans (
        net TEXT PRIMARY KEY, jail TEXT NOT NULL, because TEXT NOT NULL, since INTEGER NOT NULL,
        until INTEGER NOT NULL, nth INTEGER NOT NULL, notes TEXT NOT NULL, who TEXT, why TEXT
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS pasts (
        client TEXT PRIMARY KEY, count INTEGER NOT NULL, began TEXT NOT NULL, ends INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS visitors (
        client TEXT PRIMARY KEY, address TEXT NOT NULL, at INTEGER NOT NULL, accounts TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS webhooks (
        path TEXT PRIMARY KEY, record TEXT NOT NULL
    ) WITHOUT ROWID;
";

/// A ban in place of another of the same net. If it is the same one at another time, since a clock was
/// set, and its notes are forgotten in memory, the file's stay: there is no other copy.
const BAN: &str = "
    INSERT INTO bans VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (net) DO UPDATE SET
        notes = CASE WHEN excluded.notes = '[]' AND excluded.until - excluded.since = until - since
            AND (excluded.jail, excluded.nth) = (jail, nth) AND excluded.who IS who
            THEN notes ELSE excluded.notes END,
        jail = excluded.jail, because = excluded.because, since = excluded.since,
        until = excluded.until, nth = excluded.nth, who = excluded.who, why = excluded.why
";

/// A note, as the file has it.
#[derive(Deserialize, Serialize)]
struct Noted {
    at: i64,
    offence: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    surface: Option<String>,
    request: u64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    account: Option<u64>,
}

impl Sqlite {
    /// The file `state.db` in `folder`.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        Self { path: folder.join("state.db"), connection: None }
    }

    fn open(&mut self) -> Result<&mut Connection, StoreError> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => connect(&self.path).map_err(|why| self.told(why))?,
        };
        Ok(self.connection.insert(connection))
    }

    /// What went wrong. A file that is no database is put aside for a person to look at: it must
    /// not keep the gateway from remembering.
    fn told(&mut self, why: rusqlite::Error) -> StoreError {
        self.connection = None;
        let broken = is_broken(&why);
        let why = StoreError::new(why);
        if !broken {
            return why;
        }
        let beside = |ending: &str| {
            let mut name = self.path.clone().into_os_string();
            name.push(ending);
            PathBuf::from(name)
        };
        let aside = (0..).map(|n| beside(&format!(".broken{n}"))).find(|it| !it.exists());
        let aside = aside.unwrap_or_else(|| beside(".broken"));
        match fs::rename(&self.path, &aside) {
            Ok(()) => {
                // A journal of the broken file must not be played back into the new one.
                drop(fs::remove_file(beside("-journal")));
                tracing::error!(file = %aside.display(), "the state was broken and is put aside");
                why.lost()
            }
            Err(_) => why,
        }
    }

    /// Reads everything. Nothing is written for that, save what a crash left half done is undone;
    /// on a disk that is full or read-only there may still be nothing to undo.
    fn read(&self) -> rusqlite::Result<Vec<Change>> {
        self.read_with(OpenFlags::SQLITE_OPEN_READ_WRITE).or_else(|why| {
            let broken = is_broken(&why);
            if broken { Err(why) } else { self.read_with(OpenFlags::SQLITE_OPEN_READ_ONLY) }
        })
    }

    fn read_with(&self, flags: OpenFlags) -> rusqlite::Result<Vec<Change>> {
        let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        // A confined process has no folder for anything that passes.
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        let mut all = Vec::new();
        if form(&connection)? > 0 {
            all.extend(rows(&connection, "SELECT * FROM bans ORDER BY since", ban)?);
            all.extend(rows(&connection, "SELECT * FROM pasts", past)?);
            all.extend(rows(&connection, "SELECT * FROM visitors ORDER BY at", visitor)?);
            all.extend(sessions::read(&connection)?);
            all.extend(people::read(&connection)?);
        }
        // An older gateway has made a file without it, which is of the same form otherwise.
        if connection.table_exists(None, "webhooks")? {
            all.extend(rows(&connection, "SELECT * FROM webhooks", webhook)?);
        }
        all.extend(messages::read(&connection)?);
        all.extend(windows::read(&connection)?);
        Ok(all)
    }
}

fn is_broken(why: &rusqlite::Error) -> bool {
    let code = why.sqlite_error_code();
    matches!(code, Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt))
}

/// The form of a file; 0 for one that is new.
///
/// # Errors
///
/// A form that is newer than this gateway.
fn form(connection: &Connection) -> rusqlite::Result<i64> {
    let form = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if form > FORM { Err(rusqlite::Error::InvalidQuery) } else { Ok(form) }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    if let Some(folder) = path.parent() {
        // If it cannot be made, opening fails and says so.
        drop(fs::create_dir_all(folder));
    }
    let connection = Connection::open(path)?;
    // Alone with its file. A commit is on disk when it returns, its journal's end included.
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update(None, "synchronous", "EXTRA")?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    let fresh = form(&connection)? == 0;
    connection.execute_batch(TABLES)?;
    connection.execute_batch(sessions::TABLES)?;
    connection.execute_batch(people::TABLES)?;
    connection.execute_batch(messages::TABLES)?;
    connection.execute_batch(windows::TABLES)?;
    if fresh {
        connection.pragma_update(None, "user_version", FORM)?;
    }
    Ok(connection)
}

impl Store for Sqlite {
    fn load(&mut self) -> Result<Vec<Change>, StoreError> {
        // Its own lock would be in the way.
        self.connection = None;
        if !self.path.try_exists().map_err(StoreError::new)? {
            return Ok(Vec::new());
        }
        match self.read().map_err(|why| self.told(why)) {
            // It is put aside, and there is nothing to read any more.
            Err(why) if why.is_lost() => Ok(Vec::new()),
            read => read,
        }
    }

    fn write(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        let write = |connection: &mut Connection| -> rusqlite::Result<()> {
            let transaction = connection.transaction()?;
            for change in changes {
                make(&transaction, change)?;
            }
            transaction.commit()
        };
        // After a failure it is opened anew: a disk that was full may have room then.
        write(self.open()?).map_err(|why| self.told(why))
    }
}

fn rows(
    connection: &Connection,
    query: &str,
    read: impl Fn(&Row<'_>) -> rusqlite::Result<Option<Change>>,
) -> rusqlite::Result<Vec<Change>> {
    let mut statement = connection.prepare(query)?;
    let rows = statement.query_map([], |row| read(row))?;
    rows.filter_map(Result::transpose).collect()
}

fn text(row: &Row<'_>, name: &str) -> rusqlite::Result<String> {
    row.get(name)
}

fn ban(row: &Row<'_>) -> rusqlite::Result<Option<Change>> {
    let (net, notes) = (text(row, "net")?, text(row, "notes")?);
    let (jail, because) = (text(row, "jail")?, text(row, "because")?);
    let who: Option<String> = row.get("who")?;
    let why: Option<String> = row.get("why")?;
    let (since, until) = (Timestamp(row.get("since")?), Timestamp(row.get("until")?));
    let nth = row.get("nth")?;
    let understood = || {
        let net: IpNet = net.parse().ok()?;
        let (jail, because) = (Jail::named(&jail)?, Jail::named(&because)?);
        let notes = serde_json::from_str::<Vec<Noted>>(&notes).unwrap_or_default();
        let notes = notes.into_iter().filter_map(note).collect();
        let ban = Ban { jail, because, since, until, nth, notes, dry_run: false };
        let by_hand = who.map(|who| ByHand { who, why: why.unwrap_or_default() });
        Some(Change::Ban(net, Some(Banned { net, ban, by_hand })))
    };
    Ok(understood())
}

fn note(noted: Noted) -> Option<Note> {
    let Noted { at, offence, surface, request, account } = noted;
    let (at, offence) = (Timestamp(at), Offence::named(&offence)?);
    let surface = surface.and_then(|name| Surface::named(&name));
    Some(Note { at, offence, surface, request, account })
}

fn past(row: &Row<'_>) -> rusqlite::Result<Option<Change>> {
    let (client, began, count) = (text(row, "client")?, text(row, "began")?, row.get("count")?);
    let began: VecDeque<i64> = serde_json::from_str(&began).unwrap_or_default();
    let began = began.into_iter().map(Timestamp).collect();
    let (client, ends): (Option<IpNet>, _) = (client.parse().ok(), Timestamp(row.get("ends")?));
    Ok(client.map(|client| Change::Past(client, Some(Past { count, began, ends }))))
}

fn visitor(row: &Row<'_>) -> rusqlite::Result<Option<Change>> {
    let (client, address) = (text(row, "client")?, text(row, "address")?);
    let (at, accounts) = (Timestamp(row.get("at")?), text(row, "accounts")?);
    let accounts: Vec<u64> = serde_json::from_str(&accounts).unwrap_or_default();
    let accounts = accounts.into_iter().map(Account).collect();
    let understood = || {
        let (client, address) = (client.parse().ok()?, address.parse().ok()?);
        Some(Change::Visitor(client, Some(Visitor { address, at, accounts })))
    };
    Ok(understood())
}

fn webhook(row: &Row<'_>) -> rusqlite::Result<Option<Change>> {
    let (path, record) = (text(row, "path")?, text(row, "record")?);
    let record: Option<Webhook> = serde_json::from_str(&record).ok();
    Ok(record.map(|record| Change::Webhook(path, Some(record))))
}

fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn make(transaction: &Transaction<'_>, change: &Change) -> rusqlite::Result<()> {
    let run = |statement: &str, values: &[&dyn rusqlite::ToSql]| {
        transaction.prepare(statement)?.execute(values).map(|_| ())
    };
    match change {
        Change::Ban(net, None) => run("DELETE FROM bans WHERE net = ?", params![net.to_string()]),
        Change::Ban(net, Some(Banned { ban, by_hand, .. })) => {
            let noted = |note: &Note| Noted {
                at: note.at.0,
                offence: note.offence.name().to_owned(),
                surface: note.surface.map(|surface| surface.name().to_owned()),
                request: note.request,
                account: note.account,
            };
            let notes = json(&ban.notes.iter().map(noted).collect::<Vec<_>>());
            run(
                BAN,
                params![
                    net.to_string(),
                    ban.jail.name(),
                    ban.because.name(),
                    ban.since.0,
                    ban.until.0,
                    ban.nth,
                    notes,
                    by_hand.as_ref().map(|it| &it.who),
                    by_hand.as_ref().map(|it| &it.why),
                ],
            )
        }
        Change::Past(client, None) => {
            run("DELETE FROM pasts WHERE client = ?", params![client.to_string()])
        }
        Change::Past(client, Some(Past { count, began, ends })) => {
            let began = json(&began.iter().map(|it| it.0).collect::<Vec<_>>());
            let values = params![client.to_string(), count, began, ends.0];
            run("INSERT OR REPLACE INTO pasts VALUES (?, ?, ?, ?)", values)
        }
        Change::Visitor(client, None) => {
            run("DELETE FROM visitors WHERE client = ?", params![client.to_string()])
        }
        Change::Visitor(client, Some(Visitor { address, at, accounts })) => {
            let accounts = json(&accounts.iter().map(|it| it.0).collect::<Vec<_>>());
            let values = params![client.to_string(), address.to_string(), at.0, accounts];
            run("INSERT OR REPLACE INTO visitors VALUES (?, ?, ?, ?)", values)
        }
        Change::Session(token, sitting) => {
            sessions::write_session(transaction, *token, sitting.as_ref())
        }
        Change::Person(user, person) => people::write_person(transaction, user, person.as_ref()),
        Change::ApiKey(key, known) => people::write_api_key(transaction, *key, known.as_ref()),
        Change::Ended(ended, until) => sessions::write_ended(transaction, ended, *until),
        Change::Window(id, window) => windows::write(transaction, *id, window.as_ref()),
        Change::Message(message, until) => messages::write(transaction, message, *until),
        Change::Webhook(path, None) => run("DELETE FROM webhooks WHERE path = ?", params![path]),
        Change::Webhook(path, Some(record)) => {
            run("INSERT OR REPLACE INTO webhooks VALUES (?, ?)", params![path, json(record)])
        }
    }
}

#[cfg(test)]
mod tests;
