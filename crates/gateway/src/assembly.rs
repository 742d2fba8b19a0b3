//! How the parts are put together: what a listener asks at its door, what it answers with, and
//! where the rules in force are read from.

use std::{
    convert::Infallible,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use futures_util::FutureExt;
use gateway_certs::Challenges;
use gateway_edge::{Admission, App, Bounds, Door, Edge, Handshakes, Held, Leave, Protocol};
use gateway_ledger::Presence;
use gateway_policy::{Connection, Cut, Reason};
use gateway_proxy::{Answer, Arrival, Connect, Live, Means, Serve, redirects, stack};
use gateway_telemetry::Telemetry;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::{Guard, Guest, Terms};

/// What all listeners of a process share.
#[derive(Clone, Debug)]
pub struct Assembly<C> {
    /// The rules in force.
    pub rules: Live,
    /// What strangers are held to.
    pub terms: watch::Receiver<Terms>,
    /// How handshakes are made.
    pub tls: watch::Receiver<Arc<Handshakes>>,
    /// Who is banned, and what budgets there are.
    pub guard: Guard,
    /// What CAs may ask for now.
    pub challenges: Arc<Challenges>,
    /// What is said.
    pub telemetry: Telemetry,
    /// The way to n8n.
    pub connect: C,
    /// Whether trusted peers begin with a PROXY protocol header.
    pub proxy_protocol: bool,
    /// The port that redirects lead to.
    pub https_port: u16,
    /// How its listeners are told of their end.
    pub leave: Leave,
}

impl<C: Connect> Assembly<C> {
    /// What serves HTTPS, with a pool of its own; one for each runtime.
    pub fn https(&self, tasks: &TaskTracker) -> Edge<Doorkeeper, impl App<Body = Answer>> {
        let means = Means {
            rules: self.rules.clone(),
            telemetry: self.telemetry.clone(),
            connect: self.connect.clone(),
            warden: self.guard.clone(),
            challenges: self.answers(),
            tasks: tasks.clone(),
            stop: self.leave.end().clone(),
        };
        self.edge(Protocol::Https(self.tls.clone()), stack(means), tasks)
    }

    /// What serves HTTP in clear.
    pub fn http(&self, tasks: &TaskTracker) -> Edge<Doorkeeper, impl App<Body = Answer>> {
        let (rules, telemetry) = (self.rules.clone(), self.telemetry.clone());
        let warden = self.guard.clone();
        let app = redirects(rules, telemetry, warden, self.answers(), self.https_port);
        self.edge(Protocol::Http, app, tasks)
    }

    fn answers(&self) -> Arc<dyn gateway_proxy::Challenges> {
        Arc::new(Answers(Arc::clone(&self.challenges)))
    }

    fn edge<S>(
        &self,
        protocol: Protocol,
        stack: S,
        tasks: &TaskTracker,
    ) -> Edge<Doorkeeper, Application<S>> {
        Edge {
            door: Doorkeeper {
                rules: self.rules.clone(),
                terms: self.terms.clone(),
                guard: self.guard.clone(),
                challenges: Arc::clone(&self.challenges),
                proxy_protocol: self.proxy_protocol,
            },
            app: Application(Arc::new(stack)),
            protocol,
            telemetry: self.telemetry.clone(),
            leave: self.leave.clone(),
            tasks: tasks.clone(),
        }
    }
}

/// The policy and the ledger, as a door.
#[derive(Clone, Debug)]
pub struct Doorkeeper {
    rules: Live,
    terms: watch::Receiver<Terms>,
    guard: Guard,
    challenges: Arc<Challenges>,
    proxy_protocol: bool,
}

/// What the certificates' keeper shows to CAs.
#[derive(Debug)]
struct Answers(Arc<Challenges>);

impl gateway_proxy::Challenges for Answers {
    fn answer(&self, token: &str) -> Option<String> {
        self.0.file(token)
    }
}

impl Door for Doorkeeper {
    type Pass = Guest;
    type Handshake = Presence;

    async fn admit(&self, peer: IpAddr) -> Result<Admission<Self::Pass>, &'static str> {
        let rules = Arc::clone(&self.rules.borrow());
        let banned = self.guard.drops(peer, &rules.policy).await;
        if banned && !self.challenges.pending() {
            return Err("banned");
        }
        let clients = &rules.policy.clients;
        let limits = self.terms.borrow().connections;
        let many = self.guard.stands_for_many(peer, &rules.policy);
        let client = clients.client(peer);
        // All who are banned count as one: they cannot fill the house while a CA may look.
        let key = if banned { Ipv4Addr::BROADCAST.into() } else { client.key };
        let standing = || self.guard.standing(client, None, &rules.policy);
        let presence = self.guard.load().connect(key, many, limits, standing)?;
        let pass = Guest::new(presence, client, self.guard.clone(), self.rules.clone());
        Ok(if banned { Admission::ForChallenges(pass) } else { Admission::Guest(pass) })
    }

    fn shake(&self, peer: IpAddr) -> Result<Presence, &'static str> {
        let policy = &self.rules.borrow().policy;
        let limits = self.terms.borrow().handshakes.of(self.guard.stands_for_many(peer, policy));
        let client = policy.clients.client(peer);
        let standing = || self.guard.standing(client, None, policy);
        let entered = self.guard.load().handshakes.enter(client.key, limits, standing);
        entered.map_err(|_| "handshakes")
    }

    fn vouches(&self, peer: IpAddr) -> bool {
        self.proxy_protocol && self.rules.borrow().policy.clients.trusted.contains(peer)
    }

    fn bounds(&self, peer: IpAddr) -> Bounds {
        let bounds = self.terms.borrow().bounds;
        // Not for an address of this machine: strangers themselves may come from there.
        if self.rules.borrow().policy.clients.trusted.contains(peer) {
            bounds.shared()
        } else {
            bounds
        }
    }

    fn cut(&self, peer: IpAddr, cut: Cut) {
        self.guard.cut(peer, cut, &self.rules.borrow().policy);
    }
}

/// A stack, as what a listener answers with.
#[derive(Debug)]
pub struct Application<S>(Arc<S>);

impl<S> Clone for Application<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> App for Application<S>
where
    S: Serve<Arrival<Incoming>, Response = Response<Answer>, Error = Infallible>,
{
    type Body = Answer;

    fn answer(
        &self,
        request: Request<Incoming>,
        connection: Arc<Connection>,
        held: Held,
        unfit: Option<Reason>,
    ) -> impl Future<Output = Response<Answer>> + Send {
        let served = self.0.serve(Arrival { request, connection, held, unfit });
        served.map(|response| response.unwrap_or_else(|never| match never {}))
    }
}
