//! Bad days of a provider: one failure mode a day, before a gateway with every failure policy.
//!
//! After every request everything in [`invariants`] is checked; after every day also that nothing goes on, what was
//! spent, and that the scores which the day left behind are those that a clean upstream gives. Days are numbered as in
//! the list that they were planned by. Not here:
//!
//! - 21, in part: a name that leads to another address than before (a "DNS flip"). That needs a name server of the
//!   test's own, which stands beside the transport (`crates/core/src/upstream/transport.rs`).
//! - 26: a slow cache. The cache is in memory, in the process, and cannot be slow by itself.

mod connections;
mod http2;
pub(crate) mod invariants;
mod load;
mod replies;

use std::sync::Mutex;
use std::time::Instant;

use futures_util::future::join_all;

use self::invariants::{Question, ask, ask_until_recovered, check, results, wait_until_idle};
use crate::support::faults::{Fault, FaultProxy, Script};
use crate::support::gateway::{Answer, targets, upstream};
use crate::support::{FakeUpstream, Gateway, provenance};

/// For faults that are silence: nothing is waited for long.
const IMPATIENT: &str = "attempt_timeout = '150ms'\nconnect_timeout = '100ms'\n";
/// Requests that are made again when the day is over.
const REPEATED: usize = 24;
/// Requests that are under way at once.
const WAVE: usize = 4;

/// Policies that a client can rely on when the first target fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behind {
    /// Nothing: it gets an error.
    Nothing,
    /// The documents in input order.
    InputOrder,
    /// A target at another provider.
    Second,
    /// The embedded scorer.
    Local,
}

impl Behind {
    const ALL: [Self; 4] = [Self::Nothing, Self::InputOrder, Self::Second, Self::Local];

    fn models(self) -> String {
        let first = ("up", "rerank-v3.5");
        match self {
            Self::Nothing => targets("default", &[first]),
            Self::InputOrder => format!("{}on_failure = 'original_order'\n", targets("default", &[first])),
            Self::Second => targets("default", &[first, ("second", "jina-reranker-v2-base-multilingual")]),
            Self::Local => targets("default", &[first, ("local", "lexical")]),
        }
    }
}

/// A gateway before an upstream that has a bad day.
struct Day {
    gateway: Gateway,
    /// Asked through the proxy; it is well.
    up: FakeUpstream,
    proxy: FaultProxy,
    second: FakeUpstream,
    behind: Behind,
    asked: Mutex<Vec<Question>>,
    began: Instant,
}

impl Day {
    /// A day that goes as `script` says; `settings` are the upstream's own.
    async fn begin(behind: Behind, settings: &str, script: Script) -> Self {
        Self::begin_with(behind, settings, script, |config| config).await
    }

    /// The same with a configuration that is changed before it is used.
    async fn begin_with(behind: Behind, settings: &str, script: Script, change: impl Fn(String) -> String) -> Self {
        let (up, second) = (FakeUpstream::start("cohere").await, FakeUpstream::start("jina").await);
        let proxy = FaultProxy::start(up.address(), 7, script).await.unwrap();
        let config = format!(
            "[upstream_defaults.breaker]\nejection = '50ms'\nmax_ejection = '200ms'\n{}{settings}{}{}",
            upstream("up", "cohere", &proxy.url()),
            upstream("second", "jina", &second.url()),
            behind.models(),
        );
        let gateway = Gateway::start(&change(config)).await;
        Self { gateway, up, proxy, second, behind, asked: Mutex::default(), began: Instant::now() }
    }

    /// A day at an address where nobody will ever answer.
    async fn begin_unreachable(behind: Behind, url: &str) -> Self {
        Self::begin_with(behind, IMPATIENT, Script::new(), |config| {
            let (head, tail) = config.split_once("base_url = '").unwrap();
            format!("{head}base_url = '{url}{}", &tail[tail.find('\'').unwrap()..])
        })
        .await
    }

    /// One request. Whoever has something behind the first target always gets an answer.
    async fn ask(&self, question: Question) -> Answer {
        let answer = ask(&self.gateway, &question).await;
        let Self { behind, .. } = self;
        assert!(*behind == Behind::Nothing || answer.status.is_success(), "{behind:?}: {}", answer.body);
        self.asked.lock().unwrap().push(question);
        answer
    }

    /// `count` requests, in waves.
    async fn ask_many(&self, count: usize, change: impl Fn(Question) -> Question) -> Vec<Answer> {
        let mut answers = Vec::new();
        while answers.len() < count {
            let first = self.asked.lock().unwrap().len();
            let wave =
                (first..first + WAVE.min(count - answers.len())).map(|number| change(Question::numbered(number)));
            answers.extend(join_all(wave.map(|question| self.ask(question))).await);
        }
        answers
    }

    /// Six requests.
    async fn ask_some(&self) -> Vec<Answer> {
        self.ask_many(6, |question| question).await
    }

    /// The provider may be asked a quarter more often than clients ask, and for the retries that a quiet time has saved
    /// up.
    fn check_spending(&self) {
        let (asked, spent) = (self.asked.lock().unwrap().len(), self.proxy.counts().requests);
        let saved = 40 + 4 * usize::try_from(self.began.elapsed().as_secs()).unwrap();
        assert!(4 * spent <= 5 * asked + 4 * saved, "{spent} calls for {asked} requests");
    }

    /// Ends the day with a healthy upstream: repeats its requests and checks that cached scores equal new ones.
    async fn end(self) {
        self.check_spending();
        wait_until_idle(&self.gateway).await;
        self.proxy.set(Script::new());
        let asked = self.asked.lock().unwrap().clone();
        for question in asked.into_iter().take(REPEATED) {
            let warm = ask_until_recovered(&self.gateway, &question, "").await;
            let cold = ask_until_recovered(&self.gateway, &question, "no-cache").await;
            assert_eq!(results(&warm.body), results(&cold.body), "{question:?}");
            check(&question, &ask(&self.gateway, &question).await, &question.truth());
        }
        wait_until_idle(&self.gateway).await;
    }

    /// Ends the day with an upstream that stays unreachable.
    async fn end_unreachable(self) {
        self.check_spending();
        let asked = self.asked.lock().unwrap().clone();
        for question in asked {
            let (first, again) = (ask(&self.gateway, &question).await, ask(&self.gateway, &question).await);
            if first.status.is_success() {
                assert_eq!(results(&first.body), results(&again.body), "{question:?}");
            }
        }
        wait_until_idle(&self.gateway).await;
        assert!(self.up.calls().is_empty());
    }
}

/// Runs a day with the same fault under every policy. No answer comes from the first target; without a policy the
/// client gets an error with one of `codes`.
async fn all_day(settings: &str, fault: Fault, codes: &[&str]) {
    let days = Behind::ALL.map(async |behind| {
        let day = Day::begin(behind, settings, Script::always(fault.clone())).await;
        check_sources(behind, &day.ask_some().await, codes);
        day.end().await;
    });
    join_all(days).await;
}

/// Runs a day with an address that never answers, under every policy.
async fn all_day_unreachable(url: &str, codes: &[&str]) {
    let days = Behind::ALL.map(async |behind| {
        let day = Day::begin_unreachable(behind, url).await;
        check_sources(behind, &day.ask_some().await, codes);
        day.end_unreachable().await;
    });
    join_all(days).await;
}

/// None of the answers is the first target's.
fn check_sources(behind: Behind, answers: &[Answer], codes: &[&str]) {
    for source in sources(answers) {
        match behind {
            Behind::Nothing => assert!(codes.contains(&source), "{source}"),
            Behind::InputOrder => assert_eq!(source, "input order"),
            Behind::Second => assert_eq!(source, "second"),
            Behind::Local => assert_eq!(source, "local"),
        }
    }
}

/// Source of each answer's scores, or the code of its error.
fn sources<'a>(answers: &'a [Answer]) -> Vec<&'a str> {
    let source = |answer: &'a Answer| {
        let (upstream, code) = (&provenance(&answer.body)["upstream"], &answer.body["code"]);
        upstream.as_str().or(code.as_str()).unwrap_or("input order")
    };
    answers.iter().map(source).collect()
}
