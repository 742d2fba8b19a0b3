//! A process of n8n that is not there is not asked, and is asked again as soon as it is.

use std::time::Duration;

use gateway_proxy::CircuitState;
use gateway_testkit::{Gateway, Knife, POLICY, Step, Stroke, Way};
use tokio::time::{Instant, sleep};

const STRANGER: &str = "203.0.113.9";

fn circuit(gateway: &Gateway) -> CircuitState {
    gateway.rules().upstreams.all().next().unwrap().circuit()
}

async fn status(gateway: &Gateway) -> u16 {
    gateway.ask(STRANGER, "POST /webhook/x").await.status.as_u16()
}

fn gauge(gateway: &Gateway) -> Option<u8> {
    let all = gateway.telemetry.exposition();
    let line = all.lines().find(|it| it.starts_with("gateway_upstream_circuit_open{"))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[tokio::test(start_paused = true)]
async fn who_is_not_there_is_not_asked_until_a_probe_finds_it() {
    let gateway = Gateway::start(POLICY).unwrap();
    gateway.n8n.set_down(true);
    assert_eq!(status(&gateway).await, 503);
    assert_eq!((circuit(&gateway), gauge(&gateway)), (CircuitState::Open, Some(1)));
    gateway.n8n.set_down(false);
    assert_eq!(status(&gateway).await, 503, "nobody has looked");
    assert_eq!(gateway.n8n.connections(), 0);
    gateway.probe().await;
    assert_eq!((circuit(&gateway), gauge(&gateway)), (CircuitState::Closed, Some(0)));
    assert_eq!(status(&gateway).await, 200);
    let log = gateway.log();
    let faults: Vec<_> = log.iter().filter(|it| it["event"] == "upstream_fault").collect();
    assert_eq!(faults.len(), 2);
    assert!(faults.iter().all(|it| it["fault"] == "upstream_unreachable"), "{faults:?}");
}

#[tokio::test(start_paused = true)]
async fn if_nobody_probes_a_request_finds_out() {
    let gateway = Gateway::start(POLICY).unwrap();
    gateway.n8n.set_down(true);
    assert_eq!(status(&gateway).await, 503);
    sleep(Duration::from_secs(6)).await;
    assert_eq!(status(&gateway).await, 503);
    gateway.n8n.set_down(false);
    assert_eq!(status(&gateway).await, 503);
    sleep(Duration::from_secs(6)).await;
    assert_eq!(status(&gateway).await, 200);
    assert_eq!(circuit(&gateway), CircuitState::Closed);
}

/// The time is the paused clock's: what is asserted is who waits for a connection that hangs.
#[tokio::test(start_paused = true)]
async fn one_request_waits_for_a_connection_that_hangs_and_no_other() {
    let gateway = Gateway::start(POLICY).unwrap();
    gateway.n8n.set_unreachable(true);
    let waited = async || {
        let began = Instant::now();
        assert_eq!(status(&gateway).await, 503);
        began.elapsed()
    };
    assert!(waited().await >= Duration::from_secs(5));
    for _ in 0..10 {
        assert_eq!(waited().await, Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_breaks_off_one_exchange_after_the_other_is_not_asked() {
    let gateway = Gateway::start(POLICY).unwrap();
    for _ in 0..4 {
        assert_eq!(gateway.ask(STRANGER, "POST /webhook/break").await.status, 502);
    }
    // One that comes to its end speaks for it.
    assert_eq!(status(&gateway).await, 200);
    for _ in 0..5 {
        assert_eq!(circuit(&gateway), CircuitState::Closed);
        assert_eq!(gateway.ask(STRANGER, "POST /webhook/break").await.status, 502);
    }
    assert_eq!(circuit(&gateway), CircuitState::Open);
    let seen = gateway.n8n.seen().len();
    assert_eq!(status(&gateway).await, 503);
    assert_eq!(gateway.n8n.seen().len(), seen);
    // It was a workflow's doing: the probe that follows at once says so.
    gateway.probe().await;
    assert_eq!(status(&gateway).await, 200);
}

/// Answers that break off after their head count as well.
#[tokio::test(start_paused = true)]
async fn answers_that_are_cut_count() {
    let gateway = Gateway::start(POLICY).unwrap();
    let half = Step::say("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf");
    gateway.n8n.set_script(Some(vec![Step::Request, half]));
    for _ in 0..5 {
        assert_eq!(circuit(&gateway), CircuitState::Closed);
        let mut client = gateway.client(STRANGER).await;
        let answer = client.send(Gateway::request("GET /webhook/x", "")).await.unwrap();
        let mut body = answer.into_body();
        while http_body_util::BodyExt::frame(&mut body).await.is_some_and(|it| it.is_ok()) {}
    }
    assert_eq!(circuit(&gateway), CircuitState::Open);
    let log = gateway.log();
    let broken = log.iter().filter(|it| it["event"] == "upstream_fault").count();
    assert_eq!(broken, 5, "the operator is told of each");
    let access = log.iter().find(|it| it["event"] == "access").unwrap();
    assert_eq!((&access["status"], &access["reason"]), (&200.into(), &"upstream_broken".into()));
}

#[tokio::test(start_paused = true)]
async fn being_slow_is_no_fault() {
    let policy = format!("{POLICY}limits: {{ timeouts: {{ answer: 2s, stream: 10s }} }}\n");
    let gateway = Gateway::start(&policy).unwrap();
    for _ in 0..20 {
        assert_eq!(gateway.ask(STRANGER, "POST /webhook/hang").await.status, 504);
        assert_eq!(gateway.ask("192.0.2.1", "GET /rest/hang").await.status, 504);
    }
    // It takes the probe's connection and does not answer it either: a workflow keeps it busy.
    gateway.n8n.set_script(Some(vec![Step::Hang]));
    gateway.probe().await;
    assert!(!gateway.rules().upstreams.ready(), "whoever signs in would wait");
    assert_eq!(circuit(&gateway), CircuitState::Closed);
    gateway.n8n.set_script(None);
    assert_eq!(status(&gateway).await, 200);
}

/// A client that goes away, or sends no sound body, is no fault of n8n's.
#[tokio::test(start_paused = true)]
async fn what_clients_break_is_no_fault() {
    let policy = format!("{POLICY}bans: {{ never: [team] }}\n");
    let gateway = Gateway::start(&policy).unwrap();
    for passes in 0..20 {
        let io = gateway.secure(gateway.dial("192.0.2.1"), "n8n.test", "http/1.1").await.unwrap();
        let (near, far) = tokio::io::duplex(64 * 1024);
        let knife = Knife::new(Way::Up, 120 + passes, Stroke::Cut);
        gateway.tasks.spawn(knife.carry(far, io));
        let mut client = gateway_testkit::Client::h1(near, &gateway.tasks).await;
        let body = "x".repeat(100);
        let request = Gateway::request("POST /webhook/x\nx-filler: 0123456789", body);
        // Whatever it gets: it has gone.
        drop(client.send(request).await);
    }
    assert_eq!(circuit(&gateway), CircuitState::Closed);
    assert_eq!(status(&gateway).await, 200);
}

/// n8n answers before it is ready: its answers pass, and who has shut it out lets it in.
#[tokio::test(start_paused = true)]
async fn n8n_that_starts_speaks_for_itself() {
    let gateway = Gateway::start(POLICY).unwrap();
    gateway.n8n.set_down(true);
    assert_eq!(status(&gateway).await, 503);
    gateway.n8n.set_down(false);
    let starting = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 15\r\n\r\nn8n is starting";
    gateway.n8n.set_script(Some(vec![Step::Request, Step::say(starting), Step::Read]));
    gateway.probe().await;
    assert_eq!(circuit(&gateway), CircuitState::Closed);
    assert!(!gateway.rules().upstreams.ready(), "readyz tells");
    let answer = gateway.ask(STRANGER, "POST /webhook/x").await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (503, "n8n is starting"));
    gateway.n8n.set_script(None);
    gateway.probe().await;
    assert!(gateway.rules().upstreams.ready());
}

#[tokio::test(start_paused = true)]
async fn in_queue_mode_the_others_answer_for_one_that_is_gone() {
    let urls = "n8n: { url: http://main:1, webhook_urls: [http://one:1, http://two:1] }\n";
    let gateway = Gateway::start(&format!("{POLICY}{urls}")).unwrap();
    gateway.n8n.set_gone("http://one:1");
    for _ in 0..8 {
        assert_eq!(status(&gateway).await, 200);
    }
    let standing: Vec<_> = gateway.rules().upstreams.all().map(|it| it.circuit()).collect();
    assert_eq!(standing, [CircuitState::Closed, CircuitState::Open, CircuitState::Closed]);
    assert!(gateway.n8n.seen().iter().all(|it| it.process == "http://two:1"));
    let faults = gateway.log().iter().filter(|it| it["event"] == "upstream_fault").count();
    assert_eq!(faults, 0, "nobody was refused for it");
}

/// As many connections as may be: whoever finds no room waits a while, and is told.
#[tokio::test(start_paused = true)]
async fn more_connections_than_may_be_wait_and_not_for_ever() {
    const ROOM: usize = 4096;
    let limits = "limits: { requests: { total: 9000, per_client: 9000 } }\n";
    let policy = format!("{POLICY}rate_limits: {{ webhook: [] }}\n{limits}");
    let gateway = Gateway::start(&policy).unwrap();
    let (mut clients, mut held) = (Vec::new(), Vec::new());
    while held.len() < ROOM {
        // A hundred streams each cost fewer handshakes.
        let mut client = gateway.client_h2(STRANGER).await;
        for _ in 0..100.min(ROOM - held.len()) {
            let mut request = Gateway::request("GET /webhook/stream", "");
            request.headers_mut().remove("host");
            *request.uri_mut() = "https://n8n.test/webhook/stream".parse().unwrap();
            held.push(client.send(request).await.unwrap());
        }
        clients.push(client);
    }
    assert_eq!(gateway.n8n.connections(), ROOM);
    assert_eq!(status(&gateway).await, 503);
    assert_eq!(circuit(&gateway), CircuitState::Closed, "it is busy, and there");
    let busy = "upstream_faults_total{fault=\"upstream_busy\"} 1";
    assert!(gateway.telemetry.exposition().contains(busy));
    // Whoever waits gets the room of the next that ends.
    let (answer, ()) = tokio::join!(status(&gateway), async {
        sleep(Duration::from_secs(2)).await;
        drop(held.pop());
    });
    assert_eq!(answer, 200);
}
