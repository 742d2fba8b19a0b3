//! Certificates, for the operator.

use bytes::Bytes;
use gateway_certs::RevocationReason;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;

use super::{Desk, json, query, stopping, text};
use crate::control::Order;

impl Desk {
    pub(super) async fn certificates(
        &self,
        request: &Request<Incoming>,
        who: &str,
    ) -> Response<Full<Bytes>> {
        let broken_off = || {
            let why = "broken off: the policy has changed, or the gateway stops; ask again\n";
            text(StatusCode::SERVICE_UNAVAILABLE, why)
        };
        // As the policy has it: an address without brackets.
        let host = query(request, "host");
        let host = host.map(|it| it.trim_matches(['[', ']']).to_ascii_lowercase());
        let done = match (request.method(), request.uri().path()) {
            (&Method::GET, "/certificates") => {
                return match self.ask(Order::Status).await {
                    Some(status) => json(StatusCode::OK, &status.certificates),
                    None => stopping(),
                };
            }
            (_, "/certificates") => {
                return text(StatusCode::METHOD_NOT_ALLOWED, "not with this method\n");
            }
            (&Method::POST, "/certificates/renew") => {
                if let Some(complaint) = self.not_ours(host.as_deref()) {
                    return complaint;
                }
                self.keeping.renew(host, who).await
            }
            (&Method::POST, "/certificates/revoke") => {
                let name = query(request, "reason").unwrap_or_else(|| "unspecified".to_owned());
                let reason = RevocationReason::ALL.into_iter().find(|it| it.name() == name);
                let (Some(host), Some(reason)) = (host, reason) else {
                    let names = RevocationReason::ALL.map(RevocationReason::name).join(", ");
                    let why = format!("a `host` is needed, and a `reason` of {names}\n");
                    return text(StatusCode::BAD_REQUEST, why);
                };
                if let Some(complaint) = self.not_ours(Some(&host)) {
                    return complaint;
                }
                self.keeping.revoke(host, reason, who).await
            }
            (_, "/certificates/renew" | "/certificates/revoke") => {
                return text(StatusCode::METHOD_NOT_ALLOWED, "not with this method\n");
            }
            _ => {
                return text(StatusCode::NOT_FOUND, "certificates, certificates/renew, …/revoke\n");
            }
        };
        done.map_or_else(broken_off, |outcomes| json(StatusCode::OK, &outcomes))
    }

    /// Why nothing can be done for `host`, if it cannot.
    fn not_ours(&self, host: Option<&str>) -> Option<Response<Full<Bytes>>> {
        let all = self.keeping.standings();
        if all.is_empty() {
            let why = "the certificates are not from a CA that the gateway asks (`tls.acme`)\n";
            return Some(text(StatusCode::CONFLICT, why));
        }
        let known = |host: &str| all.iter().any(|it| it.host == host);
        let host = host.filter(|host| !known(host))?;
        let names: Vec<&str> = all.iter().map(|it| it.host.as_str()).collect();
        let why = format!("`{host}` has no certificate here: {}\n", names.join(", "));
        Some(text(StatusCode::NOT_FOUND, why))
    }
}
