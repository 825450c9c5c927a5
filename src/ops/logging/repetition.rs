//! What happens again and again is said a few times and then summed up, so that a log tells years and not seconds.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::hash::Hash;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// How often the same event is said within a [`WINDOW`].
const SAID: u32 = 10;
/// Events are counted for so long, beginning with the first.
const WINDOW: Duration = Duration::from_secs(60);
/// Characters of an event that its sum repeats.
const CHARS: usize = 120;

/// Which events are kept back: a pure policy. An event is known by its key, and what it last said is kept for the sum.
#[derive(Debug)]
struct Repetition<K> {
    counts: HashMap<K, Count>,
}

#[derive(Debug)]
struct Count {
    since: Instant,
    said: u32,
    kept_back: u32,
    level: Level,
    what: String,
}

/// So many more, of the event of this level that said this.
type Sum = (u32, Level, String);

impl<K: Eq + Hash> Repetition<K> {
    /// Whether the event is to be said; `what` tells what it would say, and `level` how much that matters.
    fn is_said(&mut self, key: K, level: Level, now: Instant, what: impl FnOnce() -> String) -> bool {
        let fresh = Count { since: now, said: 0, kept_back: 0, level, what: String::new() };
        let count = self.counts.entry(key).or_insert(fresh);
        if now.saturating_duration_since(count.since) >= WINDOW && count.kept_back == 0 {
            (count.since, count.said) = (now, 0);
        }
        if count.said < SAID {
            count.said += 1;
            return true;
        }
        if count.kept_back == 0 {
            count.what = what();
        }
        count.kept_back = count.kept_back.saturating_add(1);
        false
    }

    /// What was kept back in windows that are over by `now`, or in all of them. They begin anew.
    fn sums(&mut self, now: Instant, all: bool) -> Vec<Sum> {
        let over =
            |count: &&mut Count| count.kept_back > 0 && (all || now.saturating_duration_since(count.since) >= WINDOW);
        let sum = |count: &mut Count| {
            (count.since, count.said) = (now, 0);
            (std::mem::take(&mut count.kept_back), count.level, std::mem::take(&mut count.what))
        };
        self.counts.values_mut().filter(over).map(sum).collect()
    }
}

/// Keeps back what is said too often. An event is the same if it comes from the same line of the program; there are only so many of those,
/// so what is remembered is bounded. Whoever asks for details (debug, trace) gets them all.
#[derive(Debug)]
pub struct Calm(Mutex<Repetition<Identifier>>);

impl Calm {
    /// Nothing was said yet.
    pub fn new() -> Self {
        Self(Mutex::new(Repetition { counts: HashMap::new() }))
    }

    /// Says what was kept back in the last minute, each at the level that it has itself: what is no trouble once is none a hundred times, and who
    /// searches for warnings finds no others. Or all that was kept back, before the end.
    pub fn sum_up(&self, now: Instant, all: bool) {
        // Not logged under the lock: logging comes by here.
        let sums = self.0.try_lock().map(|mut repetition| repetition.sums(now, all)).unwrap_or_default();
        for (times, level, what) in sums {
            // The level of a line is a constant of the place where it stands.
            match level {
                Level::ERROR => tracing::error!(times, "… {times} times more in the last minute: {what}"),
                Level::WARN => tracing::warn!(times, "… {times} times more in the last minute: {what}"),
                // Nothing below is kept back.
                _ => tracing::info!(times, "… {times} times more in the last minute: {what}"),
            }
        }
    }
}

impl<S: Subscriber> Layer<S> for &'static Calm {
    fn event_enabled(&self, event: &Event<'_>, _context: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        if *metadata.level() > Level::INFO || metadata.module_path() == Some(module_path!()) {
            return true;
        }
        // Nobody waits for the log, not even for somebody who hangs in here.
        let Ok(mut repetition) = self.0.try_lock() else { return true };
        repetition.is_said(metadata.callsite(), *metadata.level(), Instant::now(), || {
            let mut what = What(String::new());
            event.record(&mut what);
            what.0.chars().take(CHARS).collect()
        })
    }
}

/// An event's message, or else its fields.
struct What(String);

impl Visit for What {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let separator = if self.0.is_empty() { "" } else { " " };
        // Writing to a String does not fail.
        let _ = match field.name() {
            "message" => write!(self.0, "{separator}{value:?}"),
            name => write!(self.0, "{separator}{name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_said_a_few_times_and_summed_up_each_minute() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut repetition = Repetition { counts: HashMap::new() };
        let (mut said, mut sums) = (vec![], vec![]);
        // Ten a second for two and a half minutes, looked at every ten seconds; beside it one that comes now and then.
        for n in 0..1500 {
            if repetition.is_said("flood", Level::WARN, at(n * 100), || format!("the {n}th")) {
                said.push(n);
            }
            assert!(n % 100 != 0 || repetition.is_said("calm", Level::INFO, at(n * 100), String::new));
            if n % 100 == 99 {
                sums.extend(repetition.sums(at(n * 100), false).into_iter().map(|sum| (n, sum)));
            }
        }
        let expected: Vec<u64> = (0..10).chain(700..710).chain(1300..1310).collect();
        assert_eq!(said, expected);
        let sum = |times, what: &str| (times, Level::WARN, what.to_owned());
        assert_eq!(sums, [(699, sum(690, "the 10th")), (1299, sum(590, "the 710th"))]);
        assert_eq!(repetition.sums(at(150_000), true), [sum(190, "the 1310th")]);
        assert_eq!(repetition.sums(at(400_000), true), []);
        // Long afterwards it is new again.
        assert!((0..10).all(|n| repetition.is_said("flood", Level::WARN, at(500_000 + n), String::new)));
    }

    #[test]
    fn what_a_line_of_the_program_says_is_kept_back_and_summed_up() {
        use std::io::Write;
        use std::sync::Arc;
        #[derive(Clone, Default)]
        struct Lines(Arc<Mutex<Vec<u8>>>);
        impl Write for Lines {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.lock().unwrap().write(bytes)
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        use tracing_subscriber::layer::SubscriberExt;
        let (lines, calm) = (Lines::default(), &*Box::leak(Box::new(Calm::new())));
        let writer = lines.clone();
        let format = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(format).with(calm), || {
            for n in 0..30 {
                tracing::info!(n, "again");
                tracing::warn!(n, "wrong again");
                tracing::error!(n, "broken again");
                tracing::debug!("details {n}");
            }
            calm.sum_up(Instant::now(), false);
            calm.sum_up(Instant::now(), true);
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.matches("tests: again n=").count(), 10, "{text}");
        for (level, what) in [(" INFO", "again"), (" WARN", "wrong again"), ("ERROR", "broken again")] {
            let sum = format!("20 times more in the last minute: {what} n=10");
            let line = text.lines().find(|line| line.contains(&sum)).unwrap_or_default();
            assert!(line.contains(&format!("{level} ")), "the sum has the level of what it sums up: {line}");
        }
        assert_eq!(text.matches("details").count(), 30, "{text}");
        assert_eq!(text.matches("20 times more in the last minute: again n=10").count(), 1, "{text}");
    }
}
