//! `sessions`: who is signed in to n8n, and signing them out.

use bytes::Bytes;
use clap::Subcommand;
use http::Method;

use super::{
    Exit, Running,
    admin_client::ask,
    bans::{encoded, time, told},
    complain, wait,
};
use crate::admin::sessions::{SessionView, SessionsDone};

#[derive(Debug, Subcommand)]
pub(super) enum Sessions {
    /// Say who is signed in, since when and from where.
    List {
        #[command(flatten)]
        gateway: Running,
        /// For machines.
        #[arg(long)]
        json: bool,
    },
    /// Sign out: whoever holds such a session has to sign in again.
    Revoke {
        #[command(flatten)]
        gateway: Running,
        /// The session, as `list` names it.
        #[arg(required_unless_present_any = ["user", "all"], conflicts_with_all = ["user", "all"])]
        id: Option<String>,
        /// Every session of this user, by n8n's own id.
        #[arg(long, value_name = "ID", conflicts_with = "all")]
        user: Option<String>,
        /// Every session there is.
        #[arg(long)]
        all: bool,
        /// Why; it goes to the log.
        #[arg(long, default_value = "no reason given")]
        reason: String,
        /// For machines.
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn sessions(command: Sessions) -> anyhow::Result<Exit> {
    match command {
        Sessions::List { gateway, json } => {
            let answer = wait(ask(&gateway, Method::GET, "/sessions", Bytes::new()))?;
            told::<Vec<SessionView>>(&answer, json, |sessions| {
                let lines: Vec<String> = sessions.iter().map(line).collect();
                if lines.is_empty() { "no session is known".to_owned() } else { lines.join("\n") }
            })
        }
        Sessions::Revoke { gateway, id, user, all: _, reason, json } => {
            let reason = encoded(&reason);
            let path = match (id, user) {
                (Some(id), _) => format!("/sessions/{}?reason={reason}", encoded(&id)),
                (None, Some(user)) => format!("/sessions?user={}&reason={reason}", encoded(&user)),
                (None, None) => format!("/sessions?reason={reason}"),
            };
            let answer = wait(ask(&gateway, Method::DELETE, &path, Bytes::new()))?;
            let done = serde_json::from_slice::<SessionsDone>(&answer.1);
            if done.is_ok_and(|done| !done.durable) {
                complain(
                    "warning: kept in memory alone, the state cannot be written (see the log)",
                );
            }
            told::<SessionsDone>(&answer, json, |done| match done.sessions {
                1 => "one session that was known is over".to_owned(),
                many => format!("{many} sessions that were known are over"),
            })
        }
    }
}

fn line(session: &SessionView) -> String {
    let SessionView { id, user, account: _, since, seen, address, places } = session;
    let places = places.join(", ");
    let (since, seen) = (time(*since), time(*seen));
    format!("{id}  user {user}  since {since}  used {seen} from {address} ({places})")
}
