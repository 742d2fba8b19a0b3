//! Guessers in front of the real n8n, and people who only want to sign in: one n8n, and a gateway
//! for each attack, so that none remembers the one before.

mod hydra;
mod keys;
mod machine;
pub(crate) mod second_factor;
mod sign_in;

use std::net::{IpAddr, Ipv4Addr};

use crate::{
    client::Client,
    installation::{Gateway, Installation},
    owner::Owner,
    processes::turn,
};

/// Everybody may come to the editor, so that strangers can guess there.
const OPEN: &str = "access: { editor: anyone }\n";

/// The same without the gateway's own limits of sign-ins: n8n's are in force.
const UNLIMITED: &str = "access: { editor: anyone }\nrate_limits: { sign-in: [] }\n";

const HOST: &str = "n8n.test";

#[tokio::test(flavor = "multi_thread")]
async fn guessers_are_kept_out_and_people_sign_in() {
    let _turn = turn().await;
    let installation = Installation::start(HOST).await;
    let owner = Owner::set_up(&installation.team).await;
    sign_in::who_has_been_here_gets_in(&installation).await;
    sign_in::forms(&installation, &owner).await;
    sign_in::n8n_alone_locks_people_out(&installation, &owner).await;
    hydra::is_banned(&installation, &owner).await;
    second_factor::guessed_and_shown(&installation, &owner).await;
    keys::guessed_and_outdated(&installation, &owner).await;
    installation.stop().await;
}

/// A stranger's address.
fn stranger(n: u8) -> IpAddr {
    Ipv4Addr::new(127, 0, 0, n).into()
}

/// A client at a stranger's address.
fn client(gateway: &Gateway, n: u8) -> Client {
    gateway.client(stranger(n))
}

/// An address of n8n's in its `n`th spelling, which n8n's own limit takes for another one and its
/// sign-in for the same: five a minute are few for a test.
fn spelled(email: &str, n: u32) -> String {
    let mut letters = 0;
    let spell = |letter: char| {
        if !letter.is_ascii_alphabetic() {
            return letter;
        }
        letters += 1;
        if n >> (letters - 1) & 1 == 1 { letter.to_ascii_uppercase() } else { letter }
    };
    email.chars().map(spell).collect()
}
