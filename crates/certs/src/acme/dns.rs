//! TXT records for dns-01: published by a program of the operator's or by updates, and withdrawn.

mod hook;
mod update;

use tokio::time::sleep;

use super::{Dns, Publisher};

/// Why a record is not there.
#[derive(Debug, thiserror::Error)]
pub enum DnsError {
    /// The operator's program failed.
    #[error("the hook {program} failed: {why}")]
    Hook {
        /// The program.
        program: String,
        /// What it said, or how it ended.
        why: String,
    },
    /// The name server did not take an update.
    #[error("the name server {server} did not take the update: {why}")]
    Update {
        /// The server.
        server: String,
        /// What it said, or what is wrong.
        why: String,
    },
}

/// What is done with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Present,
    Cleanup,
}

/// A record that is published.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    dns: &'a Dns,
    /// Ends with a dot.
    name: String,
    value: String,
}

impl<'a> Record<'a> {
    /// Publishes the answer of dns-01 for `host`, and waits until it should be seen everywhere.
    pub(crate) async fn publish(dns: &'a Dns, host: &str, value: &str) -> Result<Self, DnsError> {
        let name = format!("_acme-challenge.{host}.");
        let record = Self { dns, name, value: value.to_owned() };
        record.act(Act::Present).await?;
        sleep(dns.propagation).await;
        Ok(record)
    }

    /// Takes it back. One that stays does no harm: it is good for one order only.
    pub(crate) async fn withdraw(self) {
        if let Err(why) = self.act(Act::Cleanup).await {
            tracing::warn!(record = self.name, error = %why, "the record stays");
        }
    }

    async fn act(&self, act: Act) -> Result<(), DnsError> {
        match &self.dns.publisher {
            Publisher::Hook(program) => hook::run(program, act, &self.name, &self.value).await,
            Publisher::Update(update) => update::send(update, act, &self.name, &self.value).await,
        }
    }
}
