//! A clean stop.

use gateway_testkit::{Gateway, POLICY};
use http_body_util::BodyExt;

const STRANGER: &str = "203.0.113.9";

#[tokio::test]
async fn what_runs_is_let_finish_and_nothing_new_begins() {
    for h2 in [false, true] {
        let gateway = Gateway::start(POLICY).unwrap();
        let mut client =
            if h2 { gateway.client_h2(STRANGER).await } else { gateway.client(STRANGER).await };
        let response = client.send(stream(h2)).await.unwrap();
        gateway.n8n.drip("before");
        let mut body = response.into_body();
        assert!(body.frame().await.unwrap().is_ok());
        gateway.stop.cancel();
        gateway.n8n.drip("after");
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "after");
        drop(body);
        assert!(client.send(stream(h2)).await.is_err(), "no second request on this connection");
        gateway.tasks.close();
        gateway.tasks.wait().await;
    }
}

fn stream(h2: bool) -> http::Request<http_body_util::Full<bytes::Bytes>> {
    let mut request = Gateway::request("GET /webhook/stream", "");
    if h2 {
        request.headers_mut().remove("host");
        *request.uri_mut() = "https://n8n.test/webhook/stream".parse().unwrap();
    }
    request
}
