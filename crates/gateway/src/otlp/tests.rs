use std::sync::{Arc, Mutex};

use gateway_telemetry::{Log, Metrics, NameNotResolved};
use tokio::task::JoinHandle;

use super::*;

/// A collector in memory: what it answers, one after the other and the last for ever, and how many
/// requests it has seen and when.
#[derive(Clone, Debug)]
struct Fake {
    answers: Arc<Mutex<Vec<Delivered>>>,
    seen: Arc<Mutex<Vec<(Instant, usize)>>>,
}

impl Fake {
    fn answering(answers: &[Delivered]) -> Self {
        let answers = answers.iter().rev().cloned().collect();
        Self { answers: Arc::new(Mutex::new(answers)), seen: Arc::default() }
    }

    fn seen(&self) -> Vec<(Instant, usize)> {
        self.seen.lock().unwrap().clone()
    }
}

impl Deliver for Fake {
    async fn deliver(&self, body: Bytes) -> Delivered {
        self.seen.lock().unwrap().push((Instant::now(), body.len()));
        let mut answers = self.answers.lock().unwrap();
        let answer = if answers.len() > 1 { answers.pop() } else { answers.last().cloned() };
        answer.unwrap()
    }
}

struct Set {
    telemetry: Telemetry,
    stop: CancellationToken,
    works: JoinHandle<()>,
    fake: Fake,
}

impl Set {
    fn begin(answers: &[Delivered]) -> Self {
        let (log, _) = Log::memory(gateway_telemetry::Level::Warn);
        let (telemetry, exports) =
            Telemetry::new(Arc::new(Metrics::new("0").unwrap()), log).with_export();
        let (fake, stop) = (Fake::answering(answers), CancellationToken::new());
        let works = export(exports, fake.clone(), telemetry.clone(), stop.clone());
        #[expect(clippy::disallowed_methods, reason = "the test waits for it")]
        let works = tokio::spawn(works);
        Self { telemetry, stop, works, fake }
    }

    fn say(&self, times: usize) {
        for _ in 0..times {
            let event = NameNotResolved { name: "n".to_owned(), error: "x".repeat(100) };
            self.telemetry.say(&event);
        }
    }

    /// The value of an outcome's series.
    fn count(&self, outcome: &str) -> u64 {
        let name = format!("gateway_otlp_records_total{{outcome=\"{outcome}\"}} ");
        let all = self.telemetry.exposition();
        all.lines().find_map(|it| it.strip_prefix(&name)).unwrap().parse().unwrap()
    }

    async fn end(self) -> Self {
        self.stop.cancel();
        let Self { works, telemetry, stop, fake } = self;
        works.await.unwrap();
        #[expect(clippy::disallowed_methods, reason = "nothing is left to wait for")]
        let works = tokio::spawn(async {});
        Self { telemetry, stop, works, fake }
    }
}

fn taken() -> Delivered {
    Delivered::Taken(0, String::new())
}

fn later(asked: Option<u64>) -> Delivered {
    Delivered::Later("busy".to_owned(), asked.map(Duration::from_secs))
}

#[tokio::test(start_paused = true)]
async fn a_batch_leaves_when_it_is_full_or_after_a_second() {
    let set = Set::begin(&[taken()]);
    sleep(Duration::from_secs(90)).await;
    let begun = Instant::now();
    set.say(3);
    sleep(Duration::from_secs(2)).await;
    set.say(600);
    sleep(Duration::from_millis(100)).await;
    assert_eq!(set.count("sent"), 3 + 512, "what is full does not wait");
    sleep(Duration::from_secs(2)).await;
    assert_eq!(set.count("sent"), 603);
    let seen = set.fake.seen();
    assert_eq!(seen.len(), 3);
    assert_eq!(seen[0].0 - begun, GATHERED);
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_is_down_is_tried_less_and_less_and_costs_a_bounded_number_of_records() {
    let down = vec![later(None); 9];
    let set = Set::begin(&[down, vec![taken()]].concat());
    set.say(1);
    sleep(Duration::from_secs(60)).await;
    set.say(20_000);
    assert!(set.count("queue_full") >= 20_000 - 16 * 1024, "{}", set.count("queue_full"));
    sleep(Duration::from_secs(120)).await;
    let moments: Vec<_> = set.fake.seen().iter().map(|(at, _)| *at).collect();
    let pauses: Vec<_> = moments.windows(2).take(8).map(|it| (it[1] - it[0]).as_secs()).collect();
    assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30, 30]);
    sleep(Duration::from_secs(60)).await;
    // Its own failure and its recovery are records, too.
    let all = set.count("sent") + set.count("queue_full");
    assert_eq!(all, 20_001 + 1);
    assert!(set.count("queue_full") < 10_000, "what had room has arrived");
}

#[tokio::test(start_paused = true)]
async fn what_a_collector_asks_for_is_kept_to_within_reason() {
    let set = Set::begin(&[later(Some(7)), later(Some(0)), later(Some(86_400)), taken()]);
    set.say(1);
    sleep(Duration::from_secs(400)).await;
    let moments: Vec<_> = set.fake.seen().iter().map(|(at, _)| *at).take(4).collect();
    let pauses: Vec<_> = moments.windows(2).map(|it| (it[1] - it[0]).as_secs()).collect();
    assert_eq!(pauses, [7, 1, 300]);
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_is_not_sent_again() {
    let set = Set::begin(&[Delivered::Refused("400".to_owned()), taken()]);
    set.say(5);
    sleep(Duration::from_secs(10)).await;
    assert_eq!(set.count("refused"), 5);
    assert_eq!(set.count("sent"), 1, "the event that says so");
    let set = Set::begin(&[Delivered::Taken(2, "too old".to_owned()), taken()]);
    set.say(5);
    sleep(Duration::from_secs(10)).await;
    assert_eq!(set.count("refused"), 2);
}

#[tokio::test(start_paused = true)]
async fn what_waits_when_the_process_ends_is_sent_or_counted() {
    let set = Set::begin(&[taken()]);
    set.say(1300);
    let set = set.end().await;
    assert_eq!((set.count("sent"), set.count("unsent")), (1300, 0));

    let begun = Instant::now();
    let set = Set::begin(&[later(None)]);
    set.say(1300);
    sleep(Duration::from_secs(3)).await;
    let set = set.end().await;
    assert_eq!(set.count("sent"), 0);
    assert_eq!(set.count("unsent"), 1301, "with the event that says so");
    assert!(begun.elapsed() < Duration::from_secs(3) + FAREWELL, "nobody waits for it");
}
