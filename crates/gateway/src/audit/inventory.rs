//! What the running gateway has seen called.

use std::{net::SocketAddr, path::PathBuf};

use bytes::Bytes;
use gateway_config::{Admin, Secret};
use gateway_n8n::audit::{Call, Looked, calls};
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

pub(super) async fn look(operator: Option<&Operator>) -> Looked<Vec<Call>> {
    let operator = operator.ok_or_else(|| "no gateway is asked".to_owned())?;
    let asked = ask_operator(operator, Method::GET, "/webhooks", Bytes::new()).await;
    match asked {
        Err(why) => Err(format!("{why:#}: what was called is not known")),
        Ok((StatusCode::OK, body)) => {
            let read = serde_json::from_slice(&body).ok().and_then(|it| calls(&it));
            read.ok_or_else(|| "the gateway's inventory of webhooks cannot be read".to_owned())
        }
        Ok((StatusCode::NOT_FOUND, _)) => {
            Err("the gateway keeps no inventory of webhooks".to_owned())
        }
        Ok((other, _)) => Err(format!("the gateway answers {other} when asked for webhooks")),
    }
}
