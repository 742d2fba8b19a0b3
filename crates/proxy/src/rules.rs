//! What is in force. A request keeps the rules it began with.

use std::{sync::Arc, time::Duration};

use gateway_policy::{Pace, Policy};
use gateway_signatures::Proof;
use tokio::sync::watch;

use crate::Upstreams;

/// Everything that a reload replaces at once.
#[derive(Debug)]
pub struct Rules {
    /// How many policies this process has had.
    pub revision: u64,
    /// What is decided.
    pub policy: Policy,
    /// What senders of webhooks have to show, as the policy numbers it.
    pub proofs: Vec<Proof>,
    /// Where n8n is.
    pub upstreams: Upstreams,
    /// The path that tells whether a process of n8n is ready.
    pub readiness: String,
    /// The path at which n8n tells strangers about itself.
    pub settings: String,
    /// How long to wait.
    pub timeouts: Timeouts,
    /// How many requests may be under way.
    pub requests: AtOnce,
    /// Whether browsers are told to come over HTTPS alone from now on (RFC 6797).
    pub hsts: bool,
}

/// How many requests may be under way at once, 1 at the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AtOnce {
    /// In all.
    pub total: usize,
    /// Of one client.
    pub per_client: usize,
}

/// How long to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a short exchange's answer to begin.
    pub answer: Duration,
    /// For a request's body.
    pub body: Pace,
    /// For an execution's answer to begin, and for a stream's next bytes.
    pub stream: Duration,
    /// For a tunnel's next bytes.
    pub tunnel: Duration,
    /// For a tunnel's client to say something before it is asked to, and then to answer.
    pub ping: Duration,
}

/// The rules in force, now and later.
pub type Live = watch::Receiver<Arc<Rules>>;
