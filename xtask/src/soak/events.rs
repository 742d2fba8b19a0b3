//! What happens to the gateway while it serves: its policy is saved each second, its certificate is
//! replaced, and n8n dies.

use std::{cell::Cell, fmt::Write as _, rc::Rc, time::Duration};

use tokio::time::{Instant, interval, sleep};

use super::{
    certificates::{CURRENT, Shown},
    stage::{Ports, Stage, replace},
    world::World,
};
use crate::{client::HOST, process::Running};

const SECOND: Duration = Duration::from_secs(1);

/// Each how many savings the file is broken.
const BROKEN_EACH: u32 = 15;

/// How long n8n stays down.
const DOWN: Duration = Duration::from_secs(3);

/// How long after its start n8n is given to settle before everything has to be well.
const SETTLING: Duration = Duration::from_secs(3);

/// How often what was done.
#[derive(Debug, Default)]
pub(super) struct Happened {
    /// Policies saved that are fit, and that are not.
    pub(super) saved: Cell<u32>,
    pub(super) broken: Cell<u32>,
    /// Certificates replaced.
    pub(super) swapped: Cell<u32>,
}

/// The policy in its `n`th form.
pub(super) fn policy(ports: &Ports, n: u32) -> String {
    let Ports { https, http, admin, n8n, .. } = ports;
    let mut text = format!(
        "version: 1\nsite: {{ host: {HOST} }}\n\
         listen: {{ https: [\"127.0.0.1:{https}\"], http: [\"127.0.0.1:{http}\"], admin: \"127.0.0.1:{admin}\" }}\n\
         tls: {{ certificate: {{ chain: {CURRENT}/chain.pem, key: {CURRENT}/key.pem }} }}\n\
         n8n: {{ url: \"http://127.0.0.1:{n8n}\" }}\n\
         access: {{ editor: team }}\n\
         deny: [others]\n\
         state: {{ dir: state }}\n\
         bans:\n  increment: false\n  recidive: false\n  jails:\n"
    );
    for jail in ["scan", "protocol"] {
        // A string takes whatever is written to it.
        _ = writeln!(text, "    {jail}: {{ max_retry: 10, find_time: 30s, ban_time: 20s }}");
    }
    let (network, rate, answer) = (n % 250, 100 + n % 7, 290 + n % 5);
    _ = write!(
        text,
        "networks:\n  team: [127.0.0.16/28]\n  others: [198.51.100.{network}, 203.0.113.0/24]\n\
         rate_limits:\n  webhook: {{ per: client, rate: {rate}/s, burst: 200 }}\n\
         limits: {{ timeouts: {{ answer: {answer}s }} }}\n"
    );
    text
}

/// Saves the policy each second.
pub(super) fn save(world: &Rc<World>, stage: &Rc<Stage>, happened: &Rc<Happened>) {
    let (stage, happened) = (Rc::clone(stage), Rc::clone(happened));
    let mut n = 0;
    world.always("policy saved", Duration::ZERO, async move |_| {
        sleep(SECOND).await;
        n += 1;
        let broken = n % BROKEN_EACH == 0;
        let text = policy(&stage.ports, n) + if broken { "site: [\n" } else { "" };
        let count = if broken { &happened.broken } else { &happened.saved };
        count.set(count.get() + 1);
        replace(&stage.policy(), &text)
    });
}

/// Replaces the certificate each `period`.
pub(super) fn swap(
    world: &Rc<World>,
    shown: &Rc<Shown>,
    happened: &Rc<Happened>,
    period: Duration,
) {
    let (shown, happened) = (Rc::clone(shown), Rc::clone(happened));
    world.always("certificate replaced", Duration::ZERO, async move |_| {
        sleep(period).await;
        happened.swapped.set(happened.swapped.get() + 1);
        shown.swap()
    });
}

/// Kills n8n each `period` until `end`, and starts it again.
pub(super) async fn kill(
    world: &World,
    stage: &Stage,
    mut n8n: Running,
    period: Duration,
    end: Instant,
) -> anyhow::Result<Running> {
    let mut ticks = interval(period);
    ticks.tick().await;
    loop {
        tokio::select! {
            // Not so late that there is no time to see that all is well again.
            _ = ticks.tick(), if Instant::now() + period / 2 < end => {}
            why = n8n.ended() => return Err(why),
            () = tokio::time::sleep_until(end) => return Ok(n8n),
        }
        world.goes_down();
        n8n.kill_group().await?;
        sleep(DOWN).await;
        n8n = stage.start_n8n()?;
        stage.until_n8n_answers(&mut n8n).await?;
        sleep(SETTLING).await;
        world.is_back();
    }
}
