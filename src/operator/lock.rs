//! The lock on the keys: opened by the PIN for a while, slow after wrong tries. Pure: the time is given.

use super::config::{MOST_DIGITS, Pin};
use std::time::{Duration, Instant};

/// Unlocked for so long after the last key.
const UNLOCKED: Duration = Duration::from_secs(60);
/// An entry that nobody goes on with is forgotten.
const ENTRY: Duration = Duration::from_secs(15);
/// So many wrong tries are free.
const FREE_TRIES: u32 = 3;
/// After them there is a pause, twice as long after each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
/// But never longer: the operator, too, has to get in again on the same day.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// What came of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entered {
    /// There is no digit.
    Nothing,
    /// The keys work now.
    Right,
    /// They do not.
    Wrong,
    /// Nothing is taken for now.
    Paused,
}

/// The lock. Without a PIN it is always open.
#[derive(Clone, Debug, Default)]
pub struct Lock {
    pin: Pin,
    unlocked_until: Option<Instant>,
    entry: String,
    taken: u32,
    /// The last digit, or the wish to enter one.
    touched: Option<Instant>,
    wrong: u32,
    paused_until: Option<Instant>,
}

impl Lock {
    /// A lock with this PIN, closed.
    pub fn new(pin: Pin) -> Self {
        Self { pin, ..Self::default() }
    }

    /// Another PIN: it is closed, unless it is the same. Wrong tries are not forgotten.
    pub fn set_pin(&mut self, pin: Pin) {
        if pin != self.pin {
            (self.pin, self.unlocked_until) = (pin, None);
            self.cancel();
        }
    }

    /// Whether keys work at `now`. Each that does keeps it open for another minute.
    pub fn is_open(&mut self, now: Instant) -> bool {
        let open = !self.is_closed(now);
        if open && self.pin.is_set() {
            self.unlocked_until = Some(now + UNLOCKED);
        }
        open
    }

    /// Whether keys do not work at `now`; asked by who is no key.
    pub fn is_closed(&self, now: Instant) -> bool {
        self.pin.is_set() && self.unlocked_until.is_none_or(|until| now >= until)
    }

    /// Somebody wants to enter the PIN.
    pub fn ask(&mut self, now: Instant) {
        self.entry.clear();
        self.touched = Some(now);
    }

    /// Whether the PIN is being entered: not for long without a digit.
    pub fn is_asking(&mut self, now: Instant) -> bool {
        let stale = self.touched.is_some_and(|at| now.saturating_duration_since(at) >= ENTRY);
        if stale {
            self.cancel();
        }
        self.touched.is_some()
    }

    /// How many keys it has taken since it was made. It goes on from entry to entry, so that it tells that a key was
    /// taken, and neither how many digits stand there nor how many are expected.
    pub fn taken(&self) -> u32 {
        self.taken
    }

    /// For how long no digits are taken, if so.
    pub fn pause(&self, now: Instant) -> Option<Duration> {
        self.paused_until.and_then(|until| until.checked_duration_since(now)).filter(|left| !left.is_zero())
    }

    /// Takes a digit; whether it does. It never judges: an entry that is judged as soon as it is as long as the PIN tells how long that is.
    pub fn digit(&mut self, digit: u8, now: Instant) -> bool {
        if self.pause(now).is_some() {
            return false;
        }
        self.touched = Some(now);
        self.taken = self.taken.wrapping_add(1);
        // One more than there can be: what is too long stays wrong, and is no longer than this.
        if self.entry.len() <= MOST_DIGITS {
            self.entry.push(char::from(b'0' + digit.min(9)));
        }
        true
    }

    /// Ends the entry, by a key of its own, and judges it.
    pub fn enter(&mut self, now: Instant) -> Entered {
        if self.pause(now).is_some() {
            return Entered::Paused;
        }
        self.touched = Some(now);
        if self.entry.is_empty() {
            return Entered::Nothing;
        }
        let right = self.pin.is(&self.entry);
        self.entry.clear();
        if right {
            self.unlocked_until = Some(now + UNLOCKED);
            (self.wrong, self.touched) = (0, None);
            return Entered::Right;
        }
        self.wrong = self.wrong.saturating_add(1);
        if let Some(further) = self.wrong.checked_sub(FREE_TRIES) {
            let pause = FIRST_PAUSE.saturating_mul(1 << further.min(10)).min(LONGEST_PAUSE);
            self.paused_until = Some(now + pause);
        }
        Entered::Wrong
    }

    /// Takes the last digit back.
    pub fn take_back(&mut self, now: Instant) {
        self.entry.pop();
        self.taken = self.taken.wrapping_add(1);
        self.touched = Some(now);
    }

    /// Ends the entry.
    pub fn cancel(&mut self) {
        self.entry.clear();
        self.touched = None;
    }

    /// Locks, whoever was there has gone.
    pub fn close(&mut self) {
        self.unlocked_until = None;
        self.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enter(lock: &mut Lock, digits: &str, now: Instant) -> Entered {
        for digit in digits.bytes() {
            lock.digit(digit - b'0', now);
        }
        lock.enter(now)
    }

    #[test]
    fn without_a_pin_it_is_open() {
        assert!(Lock::default().is_open(Instant::now()));
    }

    #[test]
    fn open_for_a_minute_after_the_last_key() {
        let (mut lock, start) = (Lock::new("4711".into()), Instant::now());
        let at = |s| start + Duration::from_secs(s);
        assert!(!lock.is_open(start));
        lock.ask(start);
        assert!(lock.digit(4, start));
        assert_eq!(lock.taken(), 1);
        lock.take_back(start);
        assert_eq!(enter(&mut lock, "4711", start), Entered::Right);
        assert!(!lock.is_asking(start));
        assert!(lock.is_open(at(59)) && lock.is_open(at(118)) && !lock.is_open(at(178)));
        assert!(!lock.is_closed(at(177)) && lock.is_closed(at(178)), "to ask is not to press a key");
        assert_eq!(enter(&mut lock, "4711", at(200)), Entered::Right);
        lock.close();
        assert!(!lock.is_open(at(201)));
        assert_eq!(enter(&mut lock, "4711", at(202)), Entered::Right);
        lock.set_pin("4711".into());
        assert!(lock.is_open(at(203)), "the same configuration again");
        lock.set_pin("0815".into());
        assert!(!lock.is_open(at(204)));
    }

    /// Whoever looks on must not be able to count: what is shown depends on nothing but the keys that were ever taken.
    #[test]
    fn what_is_shown_tells_neither_how_many_digits_stand_there_nor_how_many_are_expected() {
        let now = Instant::now();
        let mut before = None;
        for pin in ["4711", "47110815", "471108150000"] {
            let mut lock = Lock::new(pin.into());
            let mut shown = vec![lock.taken()];
            for _ in 0..3 {
                lock.ask(now);
                lock.digit(9, now);
                lock.digit(9, now);
                shown.push(lock.taken());
                lock.take_back(now);
                shown.push(lock.taken());
                lock.cancel();
                // The next entry begins elsewhere: where the mark stands says nothing about this one.
                assert_eq!(lock.taken(), shown[shown.len() - 1]);
            }
            assert!(before.replace(shown.clone()).is_none_or(|before| before == shown), "{pin}");
        }
    }

    /// Whoever tries for himself must not learn it either: nothing but the key that ends the entry judges it, and wrong entries of all
    /// lengths look the same.
    #[test]
    fn no_wrong_entry_tells_how_long_the_pin_is() {
        let now = Instant::now();
        let mut seen = None;
        for pin in ["4711", "47114", "471147", "4711471", "47114711"] {
            let mut answers = Vec::new();
            for length in 1..20 {
                let mut lock = Lock::new(pin.into());
                lock.ask(now);
                for digit in 0..length {
                    answers.push((lock.digit(9, now), digit, lock.is_asking(now), lock.taken()));
                }
                assert_eq!(lock.enter(now), Entered::Wrong, "{pin}, {length}");
                // Not even the right one, if something follows it.
                assert_eq!(enter(&mut lock, &format!("{pin}0000"), now), Entered::Wrong);
                assert_eq!(enter(&mut lock, pin, now), Entered::Right);
            }
            assert!(seen.replace(answers.clone()).is_none_or(|seen| seen == answers), "{pin}");
        }
    }

    #[test]
    fn to_end_an_entry_that_is_empty_is_no_try() {
        let (mut lock, now) = (Lock::new("4711".into()), Instant::now());
        for _ in 0..10 {
            assert_eq!(lock.enter(now), Entered::Nothing);
        }
        assert_eq!(lock.pause(now), None);
    }

    #[test]
    fn an_entry_times_out() {
        let (mut lock, start) = (Lock::new("4711".into()), Instant::now());
        lock.ask(start);
        lock.digit(4, start + Duration::from_secs(10));
        assert!(lock.is_asking(start + Duration::from_secs(24)));
        assert!(!lock.is_asking(start + Duration::from_secs(25)));
        assert!(lock.entry.is_empty(), "and what was entered is gone");
    }

    #[test]
    fn wrong_tries_get_slow_but_never_for_ever() {
        let (mut lock, mut now) = (Lock::new("4711".into()), Instant::now());
        let mut pauses = Vec::new();
        for _ in 0..12 {
            assert_eq!(enter(&mut lock, "0000", now), Entered::Wrong);
            let pause = lock.pause(now).unwrap_or_default();
            if !pause.is_zero() {
                assert_eq!(enter(&mut lock, "4711", now), Entered::Paused, "not even the right one");
            }
            pauses.push(pause.as_secs());
            now += pause;
        }
        assert_eq!(pauses, [0, 0, 30, 60, 120, 240, 480, 600, 600, 600, 600, 600]);
        assert_eq!(enter(&mut lock, "4711", now), Entered::Right);
        assert_eq!(enter(&mut lock, "0000", now), Entered::Wrong);
        assert_eq!(lock.pause(now), None, "forgiven");
    }
}
