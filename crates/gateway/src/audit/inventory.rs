//! What the running gateway has seen called.

use std::{net::SocketAddr, path::PathBuf};

use bytes::Bytes;
use gateway_config::{Admin, Secret};
use gateway_n8n::{
    Surfaces,
    audit::{Call, Looked, calls},
};
use http::{Method, StatusCode};

use crate::cli::ask_operator;

/// Where a gateway answers its operator.
#[derive(Clone, Debug)]
pub(crate) enum Operator {
    Unix(PathBuf),
    Tcp(SocketAddr, Option<Secret>),
}

impl Operator {
    pub(crate) fn of(admin: &Admin) -> Self {
        match admin {
            Admin::Unix(path) => Self::Unix(path.clone()),
            Admin::Tcp(address, token) => Self::Tcp(*address, token.clone()),
        }
    }
}

/// What was called, by paths as n8n has them unless its endpoints are renamed.
pub(super) async fn look(operator: Option<&Operator>, surfaces: &Surfaces) -> Looked<Vec<Call>> {
    let operator = operator.ok_or_else(|| "no gateway is asked".to_owned())?;
    let asked = ask_operator(operator, Method::GET, "/webhooks", Bytes::new()).await;
    match asked {
        Err(why) => Err(format!("{why:#}: what was called is not known")),
        Ok((StatusCode::OK, body)) => {
            let read = serde_json::from_slice(&body).ok().and_then(|it| calls(&it));
            let read = read.map(|all| all.iter().map(|it| unrenamed(it, surfaces)).collect());
            read.ok_or_else(|| "the gateway's inventory of webhooks cannot be read".to_owned())
        }
        Ok((StatusCode::NOT_FOUND, _)) => {
            Err("the gateway keeps no inventory of webhooks".to_owned())
        }
        Ok((other, _)) => Err(format!("the gateway answers {other} when asked for webhooks")),
    }
}

fn unrenamed(call: &Call, surfaces: &Surfaces) -> Call {
    let path = surfaces.locate(&call.path, false).ok().map(|it| {
        let tail = it.tail.trim_matches('/');
        format!("/{}/{tail}", it.surface.name())
    });
    Call { path: path.unwrap_or_else(|| call.path.clone()), ..*call }
}

#[cfg(test)]
mod tests {
    use gateway_n8n::Endpoints;

    use super::*;

    #[test]
    fn a_renamed_endpoint_is_the_one_that_it_was() {
        let mut endpoints = Endpoints::default();
        endpoints.rename("webhook", "hooks").unwrap();
        let surfaces = Surfaces::new(&endpoints);
        for (path, is) in [
            ("/hooks/orders/7", "/webhook/orders/7"),
            ("/form/a", "/form/a"),
            ("/mcp/tools", "/mcp/tools"),
        ] {
            let call = Call { path: path.to_owned(), first: 1, last: 2 };
            assert_eq!(unrenamed(&call, &surfaces).path, is);
        }
    }
}
