//! Slow clients of every kind at once, and meanwhile people who are only patient: all in the time
//! that the longest of them needs.

mod drip;
mod patient;
mod slowhttptest;

use hyper::Request;
use tokio_util::sync::CancellationToken;

use crate::{
    client::Client,
    installation::{Gateway, Installation},
    owner::{Owner, until_published},
    processes::{step, turn},
    triggers::ECHO,
};

/// slowhttptest has no address of its own, and the host in its URL has to be one that resolves.
const HOST: &str = "localhost";

/// Its connections are all from one address.
const MANY: &str = "\
networks: { team: [127.0.0.1] }
access: { editor: team }
limits: { connections: { per_client: 3000, rate_per_client: 1000/s }, requests: { per_client: 2000 } }
rate_limits: { webhook: { rate: 1000/s } }
";

#[tokio::test(flavor = "multi_thread")]
async fn slow_clients_are_cut_and_patient_ones_are_not() {
    let _turn = turn().await;
    let installation = Installation::start_with(HOST, MANY).await;
    let Installation { gateway, stranger, .. } = &installation;
    let owner = Owner::set_up(&installation.team).await;
    owner.publish(include_str!("workflows/echo.json")).await;
    until_published(stranger, "GET", ECHO).await;
    owner.publish(include_str!("workflows/large.json")).await;
    until_published(stranger, "GET", slowhttptest::LARGE).await;
    let gate = patient::publish(&owner).await;

    let (stop, asking) = (CancellationToken::new(), gateway.client([127, 0, 0, 3].into()));
    let answered = async {
        let all = async {
            tokio::join!(
                Box::pin(patient::chat_and_push(&gate, &owner, stranger)),
                Box::pin(slowhttptest::all(&installation)),
                Box::pin(drip::all(gateway)),
            );
        };
        all.await;
        stop.cancel();
    };
    let ((), answers) = tokio::join!(Box::pin(answered), others_are_answered(&asking, &stop));
    println!("   {answers} requests of another client were answered meanwhile");
    counted(gateway).await;
    installation.stop().await;
}

/// Asks again and again until it is told to stop, and gives how often it was answered: each time.
async fn others_are_answered(client: &Client, stop: &CancellationToken) -> u32 {
    let mut answers = 0;
    while !stop.is_cancelled() {
        let answer = client.send(Request::get(ECHO), "").await;
        // n8n itself says so when a machine is so busy that its own database is slow to answer it.
        if !answer.text().contains("Database is not ready") {
            answer.is(200);
            answers += 1;
        }
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    }
    assert!(answers > 50, "{answers}");
    answers
}

/// Each way to be slow has been told by its name.
async fn counted(gateway: &Gateway) {
    step("slow clients are counted");
    let (refused, cut) = ("gateway_requests_refused_total", "gateway_connections_cut_total");
    // n8n that is busy answers some of them in a few words, which are read before they are read
    // slowly: such a connection is cut when it is idle.
    let large = gateway.events("access").iter().filter(|it| slowhttptest::is_large(it)).count();
    println!("   {large} large answers were read slowly");
    assert!(large >= 100, "{large}");
    for (metric, reasons, least) in [
        (refused, &["head_timeout"][..], usize::from(slowhttptest::CONNECTIONS)),
        (refused, &["body_too_slow"], 2),
        (cut, &["handshake_timeout"], 1),
        (cut, &["idle"], 1),
        // Which of the two depends on how long it had taken nothing in the end.
        (cut, &["stalled_reader", "slow_reader"], large),
    ] {
        let mut counted = 0.0;
        for reason in reasons {
            counted += gateway.metric_with(metric, &format!("reason=\"{reason}\"")).await;
        }
        println!("   {reasons:?}: {counted}");
        assert!(counted >= f64::from(u32::try_from(least).unwrap()), "{reasons:?}: {counted}");
    }
}
