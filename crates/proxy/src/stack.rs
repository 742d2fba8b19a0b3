//! The path of a request, read from the top.

use std::convert::Infallible;

use bytes::Bytes;
use gateway_telemetry::Telemetry;
use http::Response;
use http_body::Body;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceBuilder;

use crate::{
    Answer, Arrival, Connect, Live, Serve,
    layers::{
        authorize::Authorize, deadline::Deadline, forward::Forward, hygiene::Hygiene,
        identify::Identify, record::Record, redirect::Redirect, rescue::Rescue,
    },
};

/// What a stack works with.
#[derive(Clone, Debug)]
pub struct Means<C> {
    /// The rules in force.
    pub rules: Live,
    /// What is said.
    pub telemetry: Telemetry,
    /// The way to n8n.
    pub connect: C,
    /// What shutdown waits for: tunnels.
    pub tasks: TaskTracker,
    /// Cancelled when tunnels have to end.
    pub stop: CancellationToken,
}

/// The stack for HTTPS. It has a pool of connections to n8n of its own.
pub fn stack<B, C>(
    means: Means<C>,
) -> impl Serve<Arrival<B>, Response = Response<Answer>, Error = Infallible>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + Unpin
        + 'static,
    C: Connect,
{
    ServiceBuilder::new()
        // One record a request, written when its bodies have ended.
        .layer(Record::layer(means.rules.clone(), means.telemetry.clone()))
        // A refusal, a fault or a panic becomes a response: here and only here.
        .layer(Rescue::layer())
        // Who asks: the peer, or whom a trusted proxy names.
        .layer(Identify::layer())
        // Classify and decide. From here on there is only `Permitted`.
        .layer(Authorize::layer())
        // Here stand the budget (rate limits) and the inspection of bodies, when they come.
        // How long to wait, by the surface's kind; how large a body may be.
        .layer(Deadline::layer())
        // Hop-by-hop fields, forwarding fields: what n8n is told is ours alone.
        .layer(Hygiene::layer())
        // The pool, retries, upgrades.
        .service(Forward::new(means))
}

/// The stack for HTTP in clear: redirects to HTTPS for the hosts of the policy.
#[must_use]
pub fn redirects<B>(
    rules: Live,
    telemetry: Telemetry,
    https_port: u16,
) -> impl Serve<Arrival<B>, Response = Response<Answer>, Error = Infallible>
where
    B: Send + 'static,
{
    ServiceBuilder::new()
        .layer(Record::layer(rules, telemetry))
        .layer(Rescue::layer())
        .service(Redirect::to(https_port))
}
