//! The path of a request, read from the top.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use gateway_telemetry::Telemetry;
use http::Response;
use http_body::Body;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceBuilder;

use crate::{
    Answer, Arrival, Challenges, Connect, Live, Serve, Warden,
    layers::{
        admit::Admit, authorize::Authorize, ban::Ban, budget::Budget, challenge::Challenge,
        deadline::Deadline, forward::Forward, hygiene::Hygiene, identify::Identify,
        inspect::Inspect, lead::Lead, record::Record, redirect::Redirect, rescue::Rescue,
        witness::Witness,
    },
};

/// What a stack works with.
#[derive(Clone, Debug)]
pub struct Means<C, W> {
    /// The rules in force.
    pub rules: Live,
    /// What is said.
    pub telemetry: Telemetry,
    /// The way to n8n.
    pub connect: C,
    /// Who remembers clients.
    pub warden: W,
    /// Who answers CAs.
    pub challenges: Arc<dyn Challenges>,
    /// What shutdown waits for: tunnels.
    pub tasks: TaskTracker,
    /// Cancelled when tunnels have to end.
    pub stop: CancellationToken,
}

/// The stack for HTTPS. It has a pool of connections to n8n of its own.
pub fn stack<B, C, W>(
    means: Means<C, W>,
) -> impl Serve<Arrival<B>, Response = Response<Answer>, Error = Infallible>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + Unpin
        + 'static,
    C: Connect,
    W: Warden,
{
    let warden = || means.warden.clone();
    ServiceBuilder::new()
        // One record a request, written when its bodies have ended.
        .layer(Record::layer(means.rules.clone(), means.telemetry.clone()))
        // A refusal, a fault or a panic becomes a response: here and only here.
        .layer(Rescue::layer())
        // What a CA looks for is answered before any rule.
        .layer(Challenge::layer(Arc::clone(&means.challenges)))
        // Who asks: the peer, or whom a trusted proxy names.
        .layer(Identify::layer())
        // Who is banned goes no further, and this is not held against it.
        .layer(Ban::layer(warden()))
        // Whether there is room for one more: strangers are the first to wait.
        .layer(Admit::layer(warden()))
        // What is refused below, and what n8n answers, becomes an offence or a success.
        .layer(Witness::layer(warden()))
        // Classify and decide. From here on there is only `Permitted`.
        .layer(Authorize::layer(warden()))
        // How often: rate limits.
        .layer(Budget::layer(warden()))
        // How long to wait, by the surface's kind; how large a body may be.
        .layer(Deadline::layer())
        // Forms to sign in with are read, within those limits of size and time; accounts have
        // budgets of their own. So are signed webhooks.
        .layer(Inspect::layer(warden()))
        // The editor is told where a second factor is insisted on.
        .layer(Lead::layer())
        // Hop-by-hop fields, forwarding fields: what n8n is told is ours alone.
        .layer(Hygiene::layer())
        // The pool, retries, upgrades.
        .service(Forward::new(means))
}

/// The stack for HTTP in clear: what a CA looks for, and redirects to HTTPS for the hosts of the
/// policy.
#[must_use]
pub fn redirects<B, W>(
    rules: Live,
    telemetry: Telemetry,
    warden: W,
    challenges: Arc<dyn Challenges>,
    https_port: u16,
) -> impl Serve<Arrival<B>, Response = Response<Answer>, Error = Infallible>
where
    B: Send + 'static,
    W: Warden,
{
    ServiceBuilder::new()
        .layer(Record::layer(rules, telemetry))
        .layer(Rescue::layer())
        .layer(Challenge::layer(challenges))
        .service(Redirect::to(https_port, warden))
}
