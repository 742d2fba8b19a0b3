//! n8n's process on this machine: found by the port that it listens on, asked for its environment.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    path::Path,
};

use gateway_n8n::audit::{Looked, Variables};

/// The environment of whoever listens on `port`.
pub(crate) fn variables(port: u16) -> Looked<Variables> {
    let sockets: HashSet<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .flat_map(|table| listening(&fs::read_to_string(table).unwrap_or_default(), port))
        .collect();
    if sockets.is_empty() {
        return Err(format!("no process of this machine is seen to listen on port {port}"));
    }
    let unseen = "n8n's process cannot be looked into: run this as root or as n8n's own user";
    let processes = fs::read_dir("/proc").map_err(|why| why.to_string())?;
    for process in processes.flatten() {
        if !holds(&process.path(), &sockets) {
            continue;
        }
        let environment =
            fs::read(process.path().join("environ")).map_err(|_| unseen.to_owned())?;
        let id = process.file_name().to_string_lossy().into_owned();
        return Ok(parsed(&environment, &format!("process {id}")));
    }
    Err(unseen.to_owned())
}

/// Numbers of the sockets that listen on `port`.
///
/// Source: proc_pid_net(5): the local address in the second column, the state (0A: listens) in the
/// fourth, the socket's number in the tenth.
fn listening(table: &str, port: u16) -> Vec<String> {
    let wanted = format!(":{port:04X}");
    let socket = |line: &str| {
        let mut columns = line.split_whitespace();
        let (local, state) = (columns.nth(1)?, columns.nth(1)?);
        let inode = columns.nth(5)?;
        (local.ends_with(&wanted) && state == "0A").then(|| inode.to_owned())
    };
    table.lines().skip(1).filter_map(socket).collect()
}

fn holds(process: &Path, sockets: &HashSet<String>) -> bool {
    let Ok(descriptors) = fs::read_dir(process.join("fd")) else { return false };
    descriptors.flatten().any(|it| {
        let target = fs::read_link(it.path()).unwrap_or_default();
        let target = target.to_string_lossy();
        let inode = target.strip_prefix("socket:[").and_then(|it| it.strip_suffix(']'));
        inode.is_some_and(|it| sockets.contains(it))
    })
}

fn parsed(environment: &[u8], from: &str) -> Variables {
    let variable = |it: &[u8]| {
        let text = String::from_utf8_lossy(it);
        let (name, value) = text.split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    };
    let set: BTreeMap<_, _> = environment.split(|it| *it == 0).filter_map(variable).collect();
    Variables { set, from: from.to_owned(), whole: true }.without_secrets()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_is_found_by_the_port() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
            0: 0100007F:162E 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4242 1 0 100 0 0 10 0\n   \
            1: 0100007F:162E 0100007F:9999 01 00000000:00000000 00:00000000 00000000  1000        0 4243 1 0 20 4 30 10 -1\n";
        assert_eq!(listening(table, 5678), ["4242"]);
        assert!(listening(table, 80).is_empty());
    }

    #[test]
    fn an_environment_is_kept_without_its_secrets() {
        let read = parsed(b"NODE_ENV=production\0N8N_ENCRYPTION_KEY=hunter2\0HOME=/x\0", "it");
        assert_eq!(read.value("NODE_ENV"), Some("production"));
        assert!(!format!("{read:?}").contains("hunter2"));
        assert!(read.whole);
    }
}
