//! The addresses behind the DNS names of a policy.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use gateway_config::{Answers, Needs};
use gateway_telemetry::{NameNotResolved, Telemetry};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How soon a name that could not be asked for is asked for again.
const RETRY: Duration = Duration::from_secs(10);

/// How often it is looked whether a name's time has come.
const LOOK: Duration = Duration::from_secs(1);

/// Asks for each name when its time has come, and sends what was answered. A name that cannot be
/// asked for is said and left out: its last good answer stays.
pub(crate) async fn keep_asking(
    needs: watch::Receiver<Needs>,
    answers: mpsc::Sender<Answers>,
    telemetry: Telemetry,
    stop: CancellationToken,
) {
    let mut due = BTreeMap::<String, Instant>::new();
    loop {
        tokio::select! {
            () = sleep(LOOK) => {}
            () = stop.cancelled() => return,
        }
        let names = needs.borrow().names.clone();
        due.retain(|name, _| names.contains_key(name));
        for (name, refresh) in names {
            let now = Instant::now();
            if due.get(&name).is_some_and(|due| *due > now) {
                continue;
            }
            due.insert(name.clone(), now + refresh);
            match look_up(&name).await {
                Ok(addresses) => {
                    if answers.send(Answers::from([(name, addresses)])).await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    due.insert(name.clone(), now + refresh.min(RETRY));
                    telemetry.say(&NameNotResolved { name, error });
                }
            }
        }
    }
}

/// The addresses of `name`, sorted, so that an answer in another order is no change.
pub(crate) async fn look_up(name: &str) -> Result<Vec<IpAddr>, String> {
    let found = timeout(PATIENCE, tokio::net::lookup_host((name, 0))).await;
    let found = found.map_err(|_| "no answer in time".to_owned())?;
    let mut addresses: Vec<_> = found.map_err(|why| why.to_string())?.map(|it| it.ip()).collect();
    addresses.sort();
    addresses.dedup();
    Ok(addresses)
}
