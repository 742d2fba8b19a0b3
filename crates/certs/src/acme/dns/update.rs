//! Updates to a name server (RFC 2136), signed with a key that both know (RFC 8945), over TCP.

use std::time::Duration;

use hickory_proto::{
    op::{Message, ResponseCode, update_message},
    rr::{
        Name, RData, Record, RecordSet, TSigner,
        rdata::{TXT, tsig::TsigAlgorithm as Algorithm},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{Act, DnsError};
use crate::{
    Clock, SystemClock,
    acme::{TsigAlgorithm, Update},
};

/// How long a name server may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long others may keep the record, in seconds.
const TTL: u32 = 60;

/// By how much the clocks may differ, in seconds: what RFC 8945 10 recommends.
const FUDGE: u16 = 300;

/// Adds or deletes the TXT record `name` with `value`.
pub(super) async fn send(
    update: &Update,
    act: Act,
    name: &str,
    value: &str,
) -> Result<(), DnsError> {
    let failed = |why: String| DnsError::Update { server: update.server.clone(), why };
    let message = message(update, act, name, value).map_err(failed)?;
    let sent = timeout(PATIENCE, exchange(update, message, now())).await;
    sent.map_err(|_| failed(format!("no answer within {} s", PATIENCE.as_secs())))?.map_err(failed)
}

fn message(update: &Update, act: Act, name: &str, value: &str) -> Result<Message, String> {
    let parse = |text: &str| {
        let mut name = Name::from_ascii(text).map_err(|why| format!("{text}: {why}"))?;
        name.set_fqdn(true);
        Ok::<_, String>(name)
    };
    let (zone, name) = (parse(&update.zone)?, parse(name)?);
    if !zone.zone_of(&name) {
        return Err(format!("{name} is not in the zone {zone}"));
    }
    let text = RData::TXT(TXT::new(vec![value.to_owned()]));
    let records = RecordSet::from(Record::from_rdata(name, TTL, text));
    Ok(match act {
        Act::Present => update_message::append(records, zone, false, false),
        Act::Cleanup => update_message::delete_by_rdata(records, zone, false),
    })
}

async fn exchange(update: &Update, mut message: Message, now: u64) -> Result<(), String> {
    let mut verifier = None;
    if let Some(key) = &update.key {
        let algorithm = match key.algorithm {
            TsigAlgorithm::Sha256 => Algorithm::HmacSha256,
            TsigAlgorithm::Sha384 => Algorithm::HmacSha384,
            TsigAlgorithm::Sha512 => Algorithm::HmacSha512,
        };
        let name = Name::from_ascii(&key.name).map_err(|why| why.to_string())?;
        let signer = TSigner::new(key.secret.to_vec(), algorithm, name, FUDGE);
        let signer = signer.map_err(|why| why.to_string())?;
        verifier = message.finalize(&signer, now).map_err(|why| why.to_string())?;
    }
    let asked = message.to_vec().map_err(|why| why.to_string())?;
    let answer = over_tcp(&update.server, &asked).await.map_err(|why| why.to_string())?;
    let said = Message::from_vec(&answer).map_err(|why| why.to_string())?;
    match said.metadata.response_code {
        ResponseCode::NoError => {}
        ResponseCode::NotAuth => {
            return Err("it does not know the key, or its clock is another (NOTAUTH)".to_owned());
        }
        ResponseCode::Refused => {
            return Err("it does not let this key update the zone (REFUSED)".to_owned());
        }
        other => return Err(other.to_string()),
    }
    // Only whoever knows the key can have said so.
    match verifier {
        Some(mut verifier) => verifier.verify(&answer).map(drop).map_err(|why| why.to_string()),
        None => Ok(()),
    }
}

/// One message each way; over TCP each has its length before it (RFC 1035 4.2.2).
async fn over_tcp(server: &str, message: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(message.len()).map_err(std::io::Error::other)?;
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend_from_slice(message);
    stream.write_all(&framed).await?;
    let mut answer = vec![0; stream.read_u16().await?.into()];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

/// The name server checks its own clock against it.
fn now() -> u64 {
    SystemClock.now().try_into().unwrap_or(0)
}
