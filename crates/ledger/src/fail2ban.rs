//! What fail2ban has banned: its own database is read, and never written.

use std::{net::IpAddr, path::Path};

use gateway_policy::{LONGEST_BAN, Timestamp};
use ipnet::IpNet;
use rusqlite::{Connection, OpenFlags};

use crate::StoreError;

/// The addresses and networks that fail2ban's database at `path` has as banned at `now`, and until
/// when: of one jail, or of all. A ban without an end is as long as a ban can be.
///
/// Source: fail2ban `server/database.py`, table `bips`.
///
/// # Errors
///
/// A file that is no such database.
pub fn banned(
    path: &Path,
    jail: Option<&str>,
    now: Timestamp,
) -> Result<Vec<(IpNet, Timestamp)>, StoreError> {
    let read = || -> rusqlite::Result<Vec<(String, i64, i64)>> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        let query = "SELECT ip, timeofban, bantime FROM bips WHERE ?1 IS NULL OR jail = ?1";
        let mut statement = connection.prepare(query)?;
        let rows =
            statement.query_map([jail], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        rows.collect()
    };
    let longest = now + LONGEST_BAN;
    let banned = read().map_err(StoreError::new)?.into_iter().filter_map(|(ip, since, lasts)| {
        let until = if lasts < 0 { longest } else { Timestamp(since.saturating_add(lasts)) };
        let net = ip.parse().ok().or_else(|| ip.parse::<IpAddr>().ok().map(IpNet::from))?;
        (until > now).then_some((net, until.min(longest)))
    });
    Ok(banned.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bans_that_have_not_ended_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fail2ban.sqlite3");
        let connection = Connection::open(&path).unwrap();
        // As fail2ban 1.1 makes it.
        connection
            .execute_batch(
                "CREATE TABLE bips(ip TEXT NOT NULL, jail TEXT NOT NULL, timeofban INTEGER NOT NULL,
                 bantime INTEGER NOT NULL, bancount INTEGER NOT NULL default 1, data JSON,
                 PRIMARY KEY(ip, jail));
                 INSERT INTO bips VALUES ('192.0.2.1', 'nginx', 1000, 600, 1, '{}'),
                 ('192.0.2.2', 'nginx', 1000, 5, 1, '{}'), ('2001:db8::1', 'sshd', 1000, -1, 1, '{}'),
                 ('198.51.100.0/24', 'nginx', 1000, 600, 1, '{}'), ('rubbish', 'nginx', 1, -1, 1, '');",
            )
            .unwrap();
        let now = Timestamp(1100);
        let nets = |jail| {
            let mut nets: Vec<_> =
                banned(&path, jail, now).unwrap().into_iter().map(|it| it.0.to_string()).collect();
            nets.sort();
            nets
        };
        assert_eq!(nets(None), ["192.0.2.1/32", "198.51.100.0/24", "2001:db8::1/128"]);
        assert_eq!(nets(Some("sshd")), ["2001:db8::1/128"]);
        assert!(banned(&folder.path().join("none"), None, now).is_err());
    }
}
