//! An attack through the whole gateway: connections, TLS, layers, limits, ledger and store.

use std::{collections::HashSet, time::Duration};

use gateway_testkit::{Client, Gateway};
use serde_json::Value;
use tokio::time::{Instant, sleep_until};

use super::{
    POLICY,
    script::{Line, Script, Step, Verdict, status},
};

pub(super) async fn replay(script: &Script) {
    let gateway = Gateway::start(POLICY).unwrap();
    let began = Instant::now();
    for line in &script.lines {
        // A client that does the same again soon does it on the same connection.
        let mut kept: Option<(String, Client)> = None;
        for step in line.steps() {
            sleep_until(began + step.at).await;
            gateway.guard().sweep();
            let place = format!("{}: {} at {:?}", script.name, line.text, step.at);
            let soon = line.apart < Duration::from_secs(10);
            let same = kept.take().filter(|(client, _)| soon && *client == step.client);
            kept = take(&gateway, line, &step, same, &place).await;
        }
    }
}

async fn take(
    gateway: &Gateway,
    line: &Line,
    step: &Step,
    kept: Option<(String, Client)>,
    place: &str,
) -> Option<(String, Client)> {
    if line.verdict == Verdict::Dropped {
        let io = gateway.dial(&step.client);
        let hello = gateway.secure(io, "n8n.test", "http/1.1").await;
        assert!(hello.is_err(), "{place}: was let in");
        return None;
    }
    let mut client = match kept {
        Some((_, client)) => client,
        None => gateway.client(&step.client).await,
    };
    let before = gateway.log().len();
    let asked = gateway.n8n.seen().len();
    let body = step.request.body(&line.answer);
    let answer = client.ask_with(&step.request.lines(), body).await;
    let log = gateway.log().split_off(before);
    let events =
        |name: &str| log.iter().filter(|it| it["event"] == name).cloned().collect::<Vec<Value>>();
    let (counted, banned) = (events("offence"), events("banned"));
    if line.verdict == Verdict::Limited {
        assert_eq!(answer.status, 429, "{place}");
        assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1, "{place}");
        assert!(answer.header("ratelimit").contains(";r=0;t="), "{place}");
        assert_eq!(gateway.n8n.seen().len(), asked, "{place}: n8n was asked");
        assert!(banned.is_empty(), "{place}: {banned:?}");
        return Some((step.client.clone(), client));
    }
    assert_eq!(answer.status, status(&line.answer), "{place}: {}", answer.body);
    let jails: HashSet<&str> = counted.iter().filter_map(|it| it["jail"].as_str()).collect();
    match &line.verdict {
        Verdict::Passes => assert!(jails.is_empty() && banned.is_empty(), "{place}: {log:?}"),
        Verdict::Counted(jail, count) => {
            assert!(banned.is_empty(), "{place}: {banned:?}");
            let count = u64::try_from(*count).unwrap();
            let told = counted.iter().find(|it| it["jail"] == jail.as_str());
            let told = told.unwrap_or_else(|| panic!("{place}: {log:?}"));
            assert!(!step.last || told["count"] == count, "{place}: {told}");
        }
        Verdict::Banned(jail, lasts) => {
            let ban = banned.first().unwrap_or_else(|| panic!("{place}: {log:?}"));
            let longer = ban["jail"] == "recidive";
            assert!(longer || ban["jail"] == jail.as_str(), "{place}: {ban}");
            // Nothing in whole seconds is exact to the second.
            let told = ban["seconds"].as_u64().unwrap();
            assert!(told.abs_diff(lasts.as_secs()) <= 1, "{place}: {ban}");
            return None;
        }
        Verdict::Limited | Verdict::Dropped => unreachable!("seen before"),
    }
    Some((step.client.clone(), client))
}
