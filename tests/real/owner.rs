//! The owner of an n8n: signs in, makes workflows and runs them.

use hyper::Request;
use serde_json::{Value, json};

use crate::{
    client::{Answer, Client},
    processes::eventually,
};

pub(crate) const EMAIL: &str = "owner@example.com";
pub(crate) const PASSWORD: &str = "Passw0rd-Owner";

/// The owner, signed in.
#[derive(Debug)]
pub(crate) struct Owner {
    pub(crate) client: Client,
}

impl Owner {
    /// Claims a new n8n and signs in.
    pub(crate) async fn set_up(client: &Client) -> Self {
        let owner = json!({"email": EMAIL, "password": PASSWORD, "firstName": "Olive", "lastName": "Owner"});
        client.send_json(Request::post("/rest/owner/setup"), &owner).await.is(200);
        let answer = sign_in(client, EMAIL, PASSWORD).await.is(200);
        let cookie = answer.header("set-cookie");
        for attribute in ["n8n-auth=", "HttpOnly", "Secure", "SameSite=Lax", "Path=/"] {
            assert!(cookie.contains(attribute), "{cookie}");
        }
        let (cookie, _) = cookie.split_once(';').unwrap();
        Self { client: client.signed_in(cookie) }
    }

    /// The value of the session's cookie.
    pub(crate) fn token(&self) -> &str {
        let cookie = self.client.cookie().unwrap().to_str().unwrap();
        cookie.split_once('=').unwrap().1
    }

    /// Invites somebody, who accepts and has the owner's password.
    pub(crate) async fn invite(&self, email: &str) {
        let invited = json!([{"email": email, "role": "global:member"}]);
        let invited = self.client.send_json(Request::post("/rest/invitations"), &invited).await;
        let id = invited.is(200).json()["data"][0]["user"]["id"].as_str().unwrap().to_owned();
        let link = Request::post(format!("/rest/users/{id}/invite-link"));
        let link = self.client.send_json(link, &json!({})).await.is(200).json();
        let link = link["data"]["link"].as_str().unwrap().to_owned();
        let (_, token) = link.split_once("token=").unwrap_or_else(|| panic!("{link}"));
        let accepted =
            json!({"token": token, "firstName": "Mia", "lastName": "Member", "password": PASSWORD});
        let accept = Request::post("/rest/invitations/accept");
        self.client.send_json(accept, &accepted).await.is(200);
    }

    /// Makes a workflow.
    pub(crate) async fn make(&self, workflow: &str) -> Value {
        let workflow: Value = serde_json::from_str(workflow).unwrap();
        let made = self.client.send_json(Request::post("/rest/workflows"), &workflow).await;
        made.is(200).json()["data"].take()
    }

    /// Makes a workflow and puts its triggers into production. They answer a moment later.
    pub(crate) async fn publish(&self, workflow: &str) {
        let made = self.make(workflow).await;
        let path = format!("/rest/workflows/{}/activate", made["id"].as_str().unwrap());
        let version = json!({"versionId": made["versionId"], "name": "", "description": ""});
        let active = self.client.send_json(Request::post(path), &version).await.is(200).json();
        assert_eq!(active["data"]["active"], true, "{active}");
    }

    /// Runs a workflow that starts by hand; what happens is told to the push channel `push`.
    pub(crate) async fn run(&self, workflow: &Value, trigger: &str, push: &str) {
        let path = format!("/rest/workflows/{}/run", workflow["id"].as_str().unwrap());
        let order = json!({
            "workflowData": workflow,
            "startNodes": [],
            "triggerToStartFrom": {"name": trigger},
        });
        let request = Request::post(path).header("push-ref", push);
        self.client.send_json(request, &order).await.is(200);
    }
}

/// Tries to sign in.
pub(crate) async fn sign_in(client: &Client, name: &str, password: &str) -> Answer {
    let form = json!({"emailOrLdapLoginId": name, "password": password});
    client.send_json(Request::post("/rest/login"), &form).await
}

/// Waits until n8n knows the trigger at `path`.
pub(crate) async fn until_published(client: &Client, method: &str, path: &str) {
    eventually(path, async || {
        let request = Request::builder().method(method).uri(path);
        (client.send(request, "").await.status != 404).then_some(())
    })
    .await;
}
