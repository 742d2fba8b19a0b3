//! HTTP in clear: to HTTPS, for the hosts of the policy.

use gateway_policy::{Authority, Reason, claimed_host};
use http::{HeaderValue, Response, StatusCode, header};

use super::Recorded;
use crate::{Answer, Failure, Serve, Warden, page};

/// Sends clients to HTTPS.
#[derive(Debug)]
pub(crate) struct Redirect<W> {
    port: u16,
    warden: W,
}

impl<W: Warden> Redirect<W> {
    /// To `port`, for clients who named a port themselves: they see the machine's own ports. For
    /// the others the usual port is meant, whatever it is mapped to.
    pub(crate) fn to(port: u16, warden: W) -> Self {
        Self { port, warden }
    }
}

impl<B: Send + 'static, W: Warden> Serve<Recorded<B>> for Redirect<W> {
    type Response = Response<Answer>;
    type Error = Failure;

    async fn serve(&self, recorded: Recorded<B>) -> Result<Response<Answer>, Failure> {
        let Recorded { request, exchange } = recorded;
        let policy = &exchange.rules.policy;
        let client = policy.clients.identify(exchange.connection.peer.ip(), request.headers());
        exchange.identified(client);
        if policy.denied(client.address).is_some() {
            return Err(Reason::Denied.into());
        }
        if let Some(reason) = exchange.was_cut() {
            // Nothing else on this port is held against anybody: whoever looks whether it is open
            // seldom names a host.
            if let Some(offence) = reason.offence(None) {
                self.warden.offended(&exchange.case(), offence, &exchange.rules);
            }
            return Err(reason.into());
        }
        let (head, _) = request.into_parts();
        let named = claimed_host(&head).ok_or(Reason::BadHost)?;
        let (host, _) = policy.hosts.find(named.host).ok_or(Reason::UnknownHost)?;
        let port = named.port.map(|_| self.port).filter(|port| *port != 443);
        let authority = Authority { host, port };
        let target = head.uri.path_and_query().map_or("/", |it| it.as_str());
        let location = HeaderValue::try_from(format!("https://{authority}{target}"));
        let location = location.map_err(|_| Reason::AmbiguousPath)?;
        let moved = StatusCode::PERMANENT_REDIRECT;
        let mut response = page::answer(moved, "This address is served over HTTPS.", &exchange);
        response.headers_mut().insert(header::LOCATION, location);
        Ok(response)
    }
}
