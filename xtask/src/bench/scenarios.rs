//! What is measured, one row for each scenario.

mod banned;
mod bytes;
mod clients;
mod connection;
mod guards;
mod idle;
mod latency;
mod refused;
mod reload;
mod request;
mod start;

use std::pin::Pin;

use super::{Bench, report::Row};

type Found<'a> = Pin<Box<dyn Future<Output = anyhow::Result<Vec<Row>>> + 'a>>;

/// Something that is measured.
pub(super) struct Scenario {
    pub(super) name: &'static str,
    /// How, in sentences without the last full stop.
    pub(super) what: &'static str,
    pub(super) run: for<'a> fn(&'a Bench) -> Found<'a>,
}

/// The table, in the order in which they run.
pub(super) const SCENARIOS: [Scenario; 11] = [
    Scenario {
        name: "request",
        what: "CPU time of a request. h2load asks on 16 connections that are kept, over HTTP/2 with 8 \
               streams each; all answers have to be 2xx",
        run: |bench| Box::pin(request::run(bench)),
    },
    Scenario {
        name: "connection",
        what: "CPU time of a new connection: a full handshake (TLS 1.3, X25519, AES-128-GCM, no \
               resumption), one request over HTTP/1 and the end, eight at once. The hybrid row offers \
               X25519MLKEM768 first, as browsers do; who does not know it takes X25519",
        run: |bench| Box::pin(connection::run(bench)),
    },
    Scenario {
        name: "bytes",
        what: "CPU time of a GiB in bodies of 64 MiB, on four connections. What is uploaded has to come \
               out behind the backend to the last byte",
        run: |bench| Box::pin(bytes::run(bench)),
    },
    Scenario {
        name: "latency",
        what: "The time of a request at half of what nginx can do, two workers. How much that is, is \
               measured first, in the same run, by the same client, which shares the processors with \
               what it measures. Then a constant rate is asked for on 32 connections, each millisecond \
               what is due, whatever the answers; a request's time counts from when it was due. The \
               first second does not count",
        run: |bench| Box::pin(latency::run(bench)),
    },
    Scenario {
        name: "idle",
        what: "Memory (PSS of all processes, without what the kernel holds for sockets) of each of 3,000 \
               connections over TLS that had one request each, five seconds later. Each is asked again \
               afterwards: none may have been closed",
        run: |bench| Box::pin(idle::run(bench)),
    },
    Scenario {
        name: "clients",
        what: "How much more memory a million clients take that ask once each, told apart by `X-Forwarded-For` from a \
               trusted proxy and all held to a rate limit that remembers them for longer than that. Caddy has no rate limit",
        run: |bench| Box::pin(clients::run(bench)),
    },
    Scenario {
        name: "banned",
        what: "CPU time of a banned client's connection as a part of a served one's (a full handshake \
               and one request). The gateway knows bans; HAProxy rejects connections by a list, nginx \
               and Caddy look at a list when they have a request",
        run: |bench| Box::pin(banned::run(bench)),
    },
    Scenario {
        name: "refused",
        what: "CPU time of a request that is refused, on connections as in `request`: the path is open \
               to 200 other networks. The gateway answers 404, the others 403",
        run: |bench| Box::pin(refused::run(bench)),
    },
    Scenario {
        name: "reload",
        what: "A list of 100,000 networks is replaced by another one that has the client in it, and the \
               program is told to reload. The time until that client is first served, and the slowest \
               of 400 requests a second of others meanwhile, new connections included where old ones \
               were closed",
        run: |bench| Box::pin(reload::run(bench)),
    },
    Scenario {
        name: "start",
        what: "The time from the start of the program to the first 200 over TLS, asked for each \
               millisecond",
        run: |bench| Box::pin(start::run(bench)),
    },
    Scenario {
        name: "guards",
        what: "What each guard costs: `request` over HTTP/1 with 64 B and one worker, with all guards, \
               twice without that one, and with all again; the figure is the median of the rounds' \
               differences. Strict \
               reading of heads and frames, header hygiene and limits of load cannot be switched off",
        run: |bench| Box::pin(guards::run(bench)),
    },
];
