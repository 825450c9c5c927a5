//! Who is sent pictures now: a short queue for each guest, between the one encoder and the many connections.
//!
//! A keyframe takes the place of all that waits. When a queue is full, its guest is behind: what follows is left out for this one, up to
//! the next keyframe, which is asked for.

use crate::capture::Tapped;
use crate::codec::AccessUnit;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Pictures that may wait for one guest: half a second of them.
const QUEUE: usize = 8;

/// An encoded picture for guests.
#[derive(Clone, Debug)]
pub struct Picture {
    /// It.
    pub unit: AccessUnit,
    /// Nothing of the camera is in it: it may be seen in every era.
    pub is_slate: bool,
}

/// What waits for one guest.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: Mutex<Waiting>,
    some: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    pictures: VecDeque<Picture>,
    /// Whoever takes all that waits can decode what comes next.
    is_whole: bool,
    /// What the guest's path carries, in bits per second; 0 while that is not known.
    path_bps: u32,
}

/// What became of a picture for one guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Put {
    Taken,
    /// It cannot be decoded, or does not fit: the guest needs a keyframe.
    LeftOut,
}

impl Queue {
    fn put(&self, picture: &Picture) -> Put {
        let mut waiting = self.lock();
        if picture.unit.keyframe {
            waiting.pictures.clear();
            waiting.is_whole = true;
        } else if waiting.pictures.len() >= QUEUE {
            waiting.is_whole = false;
        }
        if !waiting.is_whole {
            return Put::LeftOut;
        }
        waiting.pictures.push_back(picture.clone());
        drop(waiting);
        self.some.notify_one();
        Put::Taken
    }

    /// The next picture. One reader.
    pub async fn next(&self) -> Picture {
        loop {
            let some = self.some.notified();
            if let Some(picture) = self.lock().pictures.pop_front() {
                return picture;
            }
            some.await;
        }
    }

    /// A picture that was taken from here could not be sent: what follows is of no use without it.
    pub fn interrupt(&self) {
        let mut waiting = self.lock();
        waiting.is_whole = false;
        waiting.pictures.clear();
    }

    /// What the guest's path carries, in bits per second.
    pub fn set_path_bps(&self, bps: u32) {
        self.lock().path_bps = bps;
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All guests who are connected.
#[derive(Debug)]
pub struct Audience {
    queues: Mutex<Vec<Arc<Queue>>>,
    tapped: Tapped,
    keyframe: AtomicBool,
    bounds: (u32, u32),
}

impl Audience {
    /// Nobody yet. `tapped` is turned on while there is somebody. Bitrates are kept between the two, in bits per second.
    pub fn new(tapped: Tapped, least_bps: u32, most_bps: u32) -> Self {
        tapped.turn(false);
        Self { queues: Mutex::default(), tapped, keyframe: AtomicBool::new(false), bounds: (least_bps, most_bps) }
    }

    /// Somebody is connected: pictures come, beginning with a keyframe, until the seat is dropped. Says how many there are now.
    pub fn join(self: &Arc<Self>) -> (Seat, usize) {
        let queue = Arc::<Queue>::default();
        let mut queues = self.lock();
        queues.push(Arc::clone(&queue));
        self.keyframe.store(true, Relaxed);
        self.tapped.turn(true);
        (Seat { audience: Arc::clone(self), queue }, queues.len())
    }

    /// Gives a place back. Says how many there are now.
    pub fn leave(&self, seat: Seat) -> usize {
        drop(seat);
        self.lock().len()
    }

    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Gives everybody a picture. Says for how many it was left out.
    pub fn show(&self, picture: &Picture) -> u64 {
        let left_out = self.lock().iter().filter(|queue| queue.put(picture) == Put::LeftOut).count();
        if left_out > 0 {
            self.keyframe.store(true, Relaxed);
        }
        left_out as u64
    }

    /// Somebody needs a keyframe.
    pub fn request_keyframe(&self) {
        self.keyframe.store(true, Relaxed);
    }

    /// Whether somebody does.
    pub fn wants_keyframe(&self) -> bool {
        self.keyframe.load(Relaxed)
    }

    /// From here on a request means another one.
    pub fn keyframe_begun(&self) {
        self.keyframe.store(false, Relaxed);
    }

    /// The bitrate that all can be sent: that of the narrowest path, within bounds.
    pub fn target_bps(&self) -> u32 {
        let known = |queue: &Arc<Queue>| Some(queue.lock().path_bps).filter(|bps| *bps > 0);
        let narrowest = self.lock().iter().filter_map(known).min();
        narrowest.unwrap_or(self.bounds.1).clamp(self.bounds.0, self.bounds.1)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Queue>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A guest's place. Dropping it ends its pictures.
#[derive(Debug)]
pub struct Seat {
    audience: Arc<Audience>,
    /// What waits for the guest.
    pub queue: Arc<Queue>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut queues = self.audience.lock();
        queues.retain(|queue| !Arc::ptr_eq(queue, &self.queue));
        if queues.is_empty() {
            self.audience.tapped.turn(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::tap;

    fn picture(number: u64, keyframe: bool, is_slate: bool) -> Picture {
        let data = bytes::Bytes::new();
        let unit = AccessUnit { data, keyframe, captured: None, number, era: 0, dependency: None };
        Picture { unit, is_slate }
    }

    fn waiting(seat: &Seat) -> Vec<u64> {
        seat.queue.lock().pictures.iter().map(|picture| picture.unit.number).collect()
    }

    fn audience() -> Arc<Audience> {
        Arc::new(Audience::new(tap().1, 300_000, 900_000))
    }

    #[test]
    fn who_comes_late_begins_with_a_keyframe() {
        let audience = audience();
        let (first, _) = audience.join();
        assert!(audience.wants_keyframe());
        assert_eq!(audience.show(&picture(1, false, false)), 1, "nothing to begin with");
        audience.keyframe_begun();
        assert_eq!(audience.show(&picture(2, true, false)), 0);
        let (second, many) = audience.join();
        assert_eq!((many, audience.wants_keyframe()), (2, true));
        audience.keyframe_begun();
        assert_eq!(audience.show(&picture(3, false, false)), 1);
        assert!(audience.wants_keyframe());
        assert_eq!((waiting(&first), waiting(&second)), (vec![2, 3], vec![]));
        drop(first);
        assert!(!audience.is_empty());
        drop(second);
        assert!(audience.is_empty());
    }

    #[test]
    fn who_is_behind_loses_pictures_and_holds_nobody_up() {
        let audience = audience();
        let (slow, _) = audience.join();
        audience.show(&picture(0, true, false));
        let lost: u64 = (1..20).map(|n| audience.show(&picture(n, false, false))).sum();
        assert_eq!((waiting(&slow), lost), ((0..8).collect(), 12));
        // A keyframe takes the place of all that waits: a slate is never behind the pictures that it stands for.
        audience.show(&picture(20, true, true));
        assert_eq!(waiting(&slow), [20]);
        audience.show(&picture(21, false, true));
        slow.queue.interrupt();
        audience.show(&picture(22, false, true));
        assert_eq!(waiting(&slow), [] as [u64; 0]);
    }

    #[test]
    fn the_narrowest_path_counts_within_bounds() {
        let audience = audience();
        assert_eq!(audience.target_bps(), 900_000);
        let (wide, narrow) = (audience.join().0, audience.join().0);
        assert_eq!(audience.target_bps(), 900_000, "nothing is known");
        wide.queue.set_path_bps(2_000_000);
        narrow.queue.set_path_bps(500_000);
        assert_eq!(audience.target_bps(), 500_000);
        narrow.queue.set_path_bps(20_000);
        assert_eq!(audience.target_bps(), 300_000);
        drop(narrow);
        assert_eq!(audience.target_bps(), 900_000);
    }
}
