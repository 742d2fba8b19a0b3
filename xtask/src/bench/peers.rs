//! Who is measured: one row for each, the gateway first.

use std::path::Path;

use tokio::process::Command;

use crate::process::command;

/// How many there are.
pub(super) const PEERS: usize = 4;

/// Where each stands in a row of figures.
pub(super) const GATEWAY: usize = 0;
pub(super) const NGINX: usize = 1;
pub(super) const HAPROXY: usize = 2;

/// A program that is measured.
pub(super) struct Peer {
    /// As it is spelled.
    pub(super) name: &'static str,
    /// What makes it say its version.
    pub(super) version: &'static str,
    /// The name of its configuration.
    pub(super) file: &'static str,
    pub(super) template: &'static str,
    /// What it is started with, before the path of its configuration.
    arguments: &'static [&'static str],
    /// The same where it is to reload, if that differs.
    reloading: &'static [&'static str],
    /// How it is made to read its configuration again.
    pub(super) reload: Reload,
}

/// How a program is made to read its configuration again.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reload {
    /// With a signal.
    Signal(&'static str),
    /// With a call of the program itself: these arguments, then the path of its configuration.
    Call(&'static [&'static str]),
}

/// The table.
pub(super) const TABLE: [Peer; PEERS] = [
    Peer {
        name: "n8n-gateway",
        version: "--version",
        file: "policy.yaml",
        template: include_str!("peers/gateway.yaml"),
        arguments: &["run", "--config"],
        reloading: &["run", "--config"],
        reload: Reload::Call(&["reload", "--config"]),
    },
    Peer {
        name: "nginx",
        version: "-v",
        file: "nginx.conf",
        template: include_str!("peers/nginx.conf"),
        arguments: &["-c"],
        reloading: &["-c"],
        reload: Reload::Signal("-HUP"),
    },
    Peer {
        name: "HAProxy",
        version: "-v",
        file: "haproxy.cfg",
        template: include_str!("peers/haproxy.cfg"),
        arguments: &["-db", "-f"],
        // Only a master can reload.
        reloading: &["-W", "-f"],
        reload: Reload::Signal("-USR2"),
    },
    Peer {
        name: "Caddy",
        version: "version",
        file: "Caddyfile",
        template: include_str!("peers/Caddyfile"),
        arguments: &["run", "--adapter", "caddyfile", "--config"],
        reloading: &["run", "--adapter", "caddyfile", "--config"],
        reload: Reload::Call(&[
            "reload",
            "--adapter",
            "caddyfile",
            "--address",
            "{admin}",
            "--config",
        ]),
    },
];

impl Peer {
    /// The command that starts it on these processors. All of them take the number of their workers
    /// from the configuration, the environment, or the processors that they may use.
    pub(super) fn start(
        &self,
        program: &Path,
        configuration: &Path,
        processors: &str,
        workers: usize,
        reloading: bool,
    ) -> Command {
        let mut start = command("taskset");
        start.args(["-c", processors]).arg(program);
        start.args(if reloading { self.reloading } else { self.arguments }).arg(configuration);
        start.env("GOMAXPROCS", workers.to_string());
        start
    }
}

#[cfg(test)]
mod tests {
    use super::{GATEWAY, HAPROXY, NGINX, TABLE};

    #[test]
    fn each_stands_where_its_name_says() {
        let names = [(GATEWAY, "n8n-gateway"), (NGINX, "nginx"), (HAPROXY, "HAProxy")];
        for (place, name) in names {
            assert_eq!(TABLE[place].name, name);
        }
    }
}
