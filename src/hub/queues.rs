//! What waits for clients that read slowly: a queue for each, bounded in messages and bytes, and a bound for all of them together. Nobody waits
//! for anybody: whoever's queue is full is cut off, and when all together are, those in whose queues most waits.

use super::config::Config;
use super::message::ClientId;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::Utf8Bytes;

/// What a message takes beside its text, in bytes: its place in the queue, and what allocators need for themselves.
pub const OVERHEAD: usize = 128;
/// A queue that has room for more messages than this gives it back when it is empty.
const KEPT: usize = 8;

/// How much may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Messages for one client.
    pub messages: usize,
    /// Bytes for one client. A message that nothing else waits beside is always taken.
    pub bytes: usize,
    /// Bytes for all.
    pub all_bytes: usize,
}

impl From<&Config> for Bounds {
    fn from(config: &Config) -> Self {
        Self { messages: config.queue_messages, bytes: config.queue_bytes, all_bytes: config.all_queues_bytes }
    }
}

/// Whose reading was too slow for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooSlow {
    /// Its own queue was full.
    Own,
    /// The queues of all together were full, and this was one of the longest.
    All,
    /// The network took nothing for a long time.
    Stuck,
}

/// Everybody's.
#[derive(Debug)]
pub struct Queues {
    bounds: Bounds,
    queues: HashMap<ClientId, Queue>,
    bytes: usize,
}

#[derive(Debug)]
struct Queue {
    waiting: VecDeque<Utf8Bytes>,
    /// Of what waits, and of what is being sent.
    bytes: usize,
    /// Taken out last: on its way until the next is asked for.
    being_sent: usize,
    /// Nothing comes in or out any more.
    cut: Option<TooSlow>,
    /// Tells its owner that there is something to do.
    wake: Arc<Notify>,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It waits.
    Waits,
    /// It waits, and so many clients were cut off since it was too much for all queues together.
    Relieved(usize),
    /// Its receiver was cut off.
    Cut,
    /// Its receiver is gone, or was cut off before.
    Nobody,
}

impl Queues {
    /// Nobody's yet.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, queues: HashMap::new(), bytes: 0 }
    }

    /// Begins one; what it returns is notified when [`Queues::next`] or [`Queues::cut`] have something new to say.
    pub fn open(&mut self, id: ClientId) -> Arc<Notify> {
        let wake = Arc::new(Notify::new());
        let queue = Queue { waiting: VecDeque::new(), bytes: 0, being_sent: 0, cut: None, wake: Arc::clone(&wake) };
        self.queues.insert(id, queue);
        wake
    }

    /// Ends one.
    pub fn close(&mut self, id: ClientId) {
        if let Some(queue) = self.queues.remove(&id) {
            self.bytes -= queue.bytes;
        }
    }

    /// Bytes that wait, for everybody.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Puts a message into a queue.
    pub fn put(&mut self, to: ClientId, text: Utf8Bytes) -> Put {
        let Some(queue) = self.queues.get_mut(&to).filter(|queue| queue.cut.is_none()) else { return Put::Nobody };
        let bytes = text.len() + OVERHEAD;
        let is_full =
            queue.waiting.len() >= self.bounds.messages || queue.bytes > 0 && queue.bytes + bytes > self.bounds.bytes;
        if is_full {
            self.bytes -= queue.cut_off(TooSlow::Own);
            return Put::Cut;
        }
        queue.waiting.push_back(text);
        queue.bytes += bytes;
        self.bytes += bytes;
        queue.wake.notify_one();
        if self.bytes > self.bounds.all_bytes { Put::Relieved(self.relieve()) } else { Put::Waits }
    }

    /// Cuts those off in whose queues most waits, until a quarter of the bound is free: looking for them takes a while, and is not done again
    /// for the next message.
    fn relieve(&mut self) -> usize {
        let mut longest: Vec<_> = self.queues.iter().map(|(id, it)| (it.bytes, *id)).filter(|it| it.0 > 0).collect();
        longest.sort_unstable_by(|one, other| other.cmp(one));
        let mut cut = 0;
        for (_, id) in longest {
            if self.bytes <= self.bounds.all_bytes / 4 * 3 {
                break;
            }
            let Some(queue) = self.queues.get_mut(&id) else { continue };
            self.bytes -= queue.cut_off(TooSlow::All);
            cut += 1;
        }
        cut
    }

    /// The next message for a client, if there is one; the one before it is out of the house.
    ///
    /// # Errors
    /// It is cut off.
    pub fn next(&mut self, id: ClientId) -> Result<Option<Utf8Bytes>, TooSlow> {
        let Some(queue) = self.queues.get_mut(&id) else { return Ok(None) };
        if let Some(why) = queue.cut {
            return Err(why);
        }
        self.bytes -= queue.being_sent;
        queue.bytes -= queue.being_sent;
        let next = queue.waiting.pop_front();
        queue.being_sent = next.as_ref().map_or(0, |text| text.len() + OVERHEAD);
        if queue.waiting.is_empty() && queue.waiting.capacity() > KEPT {
            queue.waiting = VecDeque::new();
        }
        Ok(next)
    }

    /// Whether a client is cut off, and why.
    pub fn cut(&self, id: ClientId) -> Option<TooSlow> {
        self.queues.get(&id)?.cut
    }
}

impl Queue {
    /// Gives back what it held, in bytes. Its owner drops at once what it is sending.
    fn cut_off(&mut self, why: TooSlow) -> usize {
        (self.cut, self.waiting, self.being_sent) = (Some(why), VecDeque::new(), 0);
        self.wake.notify_one();
        std::mem::take(&mut self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BOUNDS: Bounds = Bounds { messages: 4, bytes: 2000, all_bytes: 5000 };

    fn id(number: u64) -> ClientId {
        ClientId::from(number)
    }

    fn text(length: usize) -> Utf8Bytes {
        Utf8Bytes::from("x".repeat(length))
    }

    fn with(clients: u64) -> Queues {
        let mut queues = Queues::new(BOUNDS);
        for number in 0..clients {
            queues.open(id(number));
        }
        queues
    }

    #[test]
    fn who_reads_gets_everything_in_order() {
        let mut queues = with(1);
        for length in 1..100 {
            assert_eq!(queues.put(id(0), text(length)), Put::Waits);
            assert_eq!(queues.put(id(0), text(length + 1)), Put::Waits);
            assert_eq!(queues.next(id(0)).unwrap().unwrap().len(), length);
            assert_eq!(queues.next(id(0)).unwrap().unwrap().len(), length + 1);
            assert_eq!(queues.bytes(), length + 1 + OVERHEAD, "it is on its way");
            assert_eq!((queues.next(id(0)), queues.bytes()), (Ok(None), 0));
        }
    }

    #[test]
    fn a_queue_is_bounded_in_messages_and_in_bytes() {
        let mut queues = with(2);
        assert!((0..4).all(|_| queues.put(id(0), text(1)) == Put::Waits));
        assert_eq!(queues.put(id(0), text(1)), Put::Cut);
        assert_eq!((queues.put(id(0), text(1)), queues.next(id(0))), (Put::Nobody, Err(TooSlow::Own)));
        assert_eq!(queues.bytes(), 0, "nothing waits for it any more");
        // One that is longer than the bound, alone; what is being sent counts.
        assert_eq!(queues.put(id(1), text(3000)), Put::Waits);
        assert!(queues.next(id(1)).unwrap().is_some());
        assert_eq!((queues.put(id(1), text(1)), queues.cut(id(1))), (Put::Cut, Some(TooSlow::Own)));
        assert_eq!(queues.put(id(7), text(1)), Put::Nobody);
    }

    #[test]
    fn all_together_are_bounded_and_the_longest_go() {
        let mut queues = with(5);
        for (number, length) in [(0, 100), (1, 1600), (2, 1500), (3, 1200)] {
            assert_eq!(queues.put(id(number), text(length)), Put::Waits);
        }
        // 4912 bytes wait. The next message is the small client's; three quarters are 3750.
        assert_eq!(queues.put(id(4), text(1)), Put::Relieved(1));
        assert_eq!(queues.next(id(1)), Err(TooSlow::All));
        assert!([0, 2, 3, 4].iter().all(|number| queues.cut(id(*number)).is_none()));
        assert_eq!(queues.bytes(), 100 + 1500 + 1200 + 1 + 4 * OVERHEAD);
    }

    proptest! {
        #[test]
        fn the_bounds_hold_and_nothing_is_lost(story in prop::collection::vec((0..6u64, 0..1800usize, 0..4u8), 0..300)) {
            let mut queues = with(6);
            for (number, length, what) in story {
                match what {
                    0 | 1 => { queues.put(id(number), text(length)); }
                    2 => { let _ = queues.next(id(number)); }
                    _ => {
                        queues.close(id(number));
                        queues.open(id(number));
                    }
                }
                let of = |queue: &Queue| {
                    queue.waiting.iter().map(|text| text.len() + OVERHEAD).sum::<usize>() + queue.being_sent
                };
                prop_assert!(queues.queues.values().all(|queue| queue.bytes == of(queue)));
                prop_assert!(queues.queues.values().all(|queue| queue.bytes <= BOUNDS.bytes && queue.waiting.len() <= BOUNDS.messages));
                prop_assert!(queues.queues.values().all(|queue| queue.cut.is_none() || queue.bytes == 0));
                prop_assert_eq!(queues.bytes, queues.queues.values().map(|queue| queue.bytes).sum::<usize>());
                prop_assert!(queues.bytes <= BOUNDS.all_bytes);
            }
            for number in 0..6 {
                queues.close(id(number));
            }
            prop_assert_eq!(queues.bytes(), 0);
        }
    }
}
