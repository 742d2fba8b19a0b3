//! The layers, in the order of the stack.

pub(crate) mod admit;
pub(crate) mod authorize;
pub(crate) mod ban;
pub(crate) mod budget;
pub(crate) mod challenge;
pub(crate) mod deadline;
pub mod device;
pub(crate) mod forward;
pub(crate) mod hygiene;
pub(crate) mod identify;
pub(crate) mod inspect;
pub(crate) mod lead;
pub(crate) mod record;
pub(crate) mod redirect;
pub(crate) mod rescue;
pub(crate) mod witness;

use std::{any::Any, sync::Arc};

use gateway_policy::{Client, Connection, Reason};
use http::Request;

pub use self::authorize::Permitted;
use crate::Exchange;

/// A request as it comes in.
#[derive(Debug)]
pub struct Arrival<B> {
    /// The request.
    pub request: Request<B>,
    /// The connection it came on.
    pub connection: Arc<Connection>,
    /// What the connection holds of its host; kept as long as its requests and tunnels live.
    pub held: Arc<dyn Any + Send + Sync>,
    /// Why it is refused, if it only stands in place of bytes that are not to be read.
    pub unfit: Option<Reason>,
}

/// A request that is being recorded.
#[derive(Debug)]
pub(crate) struct Recorded<B> {
    pub(crate) request: Request<B>,
    pub(crate) exchange: Arc<Exchange>,
}

/// A request whose client is known.
#[derive(Debug)]
pub(crate) struct Identified<B> {
    pub(crate) request: Request<B>,
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) client: Client,
}
